use fly_sim::{SimConfig, Timing};
use serde_json::{Value, json};

use crate::client::{Fly, OBSERVABLE, error, minimal, mounting};

#[tokio::test]
async fn machine_is_created_then_started() {
    let fly = Fly::fast().await;
    let (status, machine) = fly.post("machines", minimal("town-1")).await;
    assert_eq!((status, &machine["state"], &machine["name"]), (200, &json!("created"), &json!("town-1")));
    assert_eq!(machine["id"].as_str().unwrap().len(), 14);
    assert_eq!(machine["instance_id"].as_str().unwrap().len(), 26);
    assert_eq!(machine["image_ref"]["repository"], "img");
    let id = machine["id"].as_str().unwrap();
    fly.wait_for(id, "started").await;
    let (_, started) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(started["config"]["image"], "registry.fly.io/img:1");
    let kinds: Vec<_> = started["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds.last(), Some(&json!("launch")), "newest first");
}

#[tokio::test]
async fn machine_without_name_gets_generated_name() {
    let fly = Fly::fast().await;
    let (_, machine) = fly.post("machines", json!({ "config": { "image": "i" } })).await;
    assert_eq!(machine["name"].as_str().unwrap().split('-').count(), 3);
    assert_eq!(machine["region"], "iad");
}

#[tokio::test]
async fn name_is_taken_until_machine_is_destroyed() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let text =
        format!("already_exists: unique machine name violation, machine ID {id} already exists with name \"town\"");
    assert_eq!(fly.post("machines", minimal("town")).await, error(409, &text));
    fly.delete(&format!("machines/{id}?kill=true")).await;
    fly.wait_for(&id, "destroyed").await;
    assert_eq!(fly.post("machines", minimal("town")).await.0, 200);
}

#[tokio::test]
async fn concurrent_creates_of_one_name_create_one_machine() {
    let fly = Fly::fast().await;
    let creates = (0..10).map(|_| fly.post("machines", minimal("town")));
    let mut statuses: Vec<u16> =
        futures::future::join_all(creates).await.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[409; 9][..]));
}

#[tokio::test]
async fn invalid_machines_are_refused() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let with = |config| json!({ "name": "town", "config": config });
    let mount = json!({ "volume": volume, "path": "/data" });
    for body in [
        json!({ "name": "town" }),
        with(json!({})),
        json!({ "name": "Town_1", "config": { "image": "i" } }),
        json!({ "name": "town", "region": "nowhere", "config": { "image": "i" } }),
        with(json!({ "image": "i", "guest": { "cpus": 3 } })),
        with(json!({ "image": "i", "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 4096 } })),
        with(json!({ "image": "i", "env": { "A": 1 } })),
        with(json!({ "image": "i", "restart": { "policy": "sometimes" } })),
        with(json!({ "image": "i", "mounts": [mount, mount] })),
        with(json!({ "image": "::::" })),
        with(json!({ "image": "i", "schedule": "weekly-ish" })),
    ] {
        let (status, refusal) = fly.post("machines", body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(refusal["error"].as_str().unwrap().starts_with("invalid_argument: "), "{refusal}");
    }
    assert_eq!(fly.sim.machines(), []);
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found() {
    let fly = Fly::fast().await;
    assert_eq!(fly.get("machines/00000000000000").await, error(404, "machine not found"));
    for id in ["not-hex", "12345", "vol_none"] {
        assert_eq!(fly.get(&format!("machines/{id}")).await, error(404, "machine not found"), "{id}");
    }
    assert_eq!(fly.get("/v1/apps/none/machines").await, error(404, "app not found"));
}

#[tokio::test]
async fn list_applies_all_filters() {
    let fly = Fly::fast().await;
    let mut ids = Vec::new();
    for (name, town, region) in [("a", "t1", "iad"), ("b", "t1", "fra"), ("c", "t2", "iad")] {
        let mut body = minimal(name);
        body["region"] = json!(region);
        body["config"]["metadata"] = json!({ "gastown_town_id": town, "kind": "town" });
        ids.push(fly.start_machine(body).await);
    }
    for (query, want) in [
        ("", json!(["a", "b", "c"])),
        ("?metadata.gastown_town_id=t1", json!(["a", "b"])),
        ("?metadata.gastown_town_id=t1&metadata.kind=town&region=fra", json!(["b"])),
        ("?metadata.gastown_town_id=t1&metadata.kind=other", json!([])),
        ("?state=started,stopped&region=iad", json!(["a", "c"])),
        ("?state=stopped", json!([])),
    ] {
        let (status, list) = fly.get(&format!("machines{query}")).await;
        let names: Value = list.as_array().unwrap().iter().map(|machine| machine["name"].clone()).collect();
        assert_eq!((status, names), (200, want), "{query}");
    }
    fly.delete(&format!("machines/{}?force=true", ids[2])).await;
    fly.wait_for(&ids[2], "destroyed").await;
    assert_eq!(fly.get("machines").await.1.as_array().unwrap().len(), 2);
    assert_eq!(fly.get("machines?include_deleted=true").await.1.as_array().unwrap().len(), 3);
    let (_, summary) = fly.get("machines?summary=true").await;
    assert!(summary[0].get("config").is_none() && summary[0].get("events").is_none());
}

/// Starts a simulator on which an update takes long enough to be observed.
async fn slow_update() -> Fly {
    let timing = Timing { replace: OBSERVABLE, ..Timing::fast() };
    Fly::start(SimConfig { timing, ..SimConfig::fast() }).await
}

#[tokio::test]
async fn update_replaces_whole_configuration_under_new_version() {
    let fly = slow_update().await;
    let mut body = minimal("town");
    body["config"]["env"] = json!({ "OLD": "1" });
    let id = fly.start_machine(body).await;
    let (_, before) = fly.get(&format!("machines/{id}")).await;

    let update = json!({ "config": { "image": "i:2" }, "current_version": before["instance_id"] });
    let (status, updated) = fly.post(&format!("machines/{id}"), update.clone()).await;
    assert_eq!((status, &updated["state"]), (200, &json!("replacing")));
    assert_ne!(updated["instance_id"], before["instance_id"]);
    assert_eq!((&updated["config"]["image"], updated["config"].get("env")), (&json!("i:2"), None));
    let concurrent = error(409, "aborted: machine update failed due to concurrent update");
    assert_eq!(fly.post(&format!("machines/{id}"), json!({ "config": { "image": "i:3" } })).await, concurrent);
    fly.wait_for(&id, "started").await;
    assert_eq!(fly.post(&format!("machines/{id}"), update).await.0, 412, "the version is stale");
    assert_eq!(fly.get(&format!("machines/{id}/versions")).await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn update_keeps_machine_stopped_and_volume_mounted() {
    let fly = slow_update().await;
    let (volume, other) = (fly.create_volume("data").await, fly.create_volume("other").await);
    let id = fly.start_machine(mounting("town", &volume)).await;
    fly.post(&format!("machines/{id}/stop"), json!({})).await;
    fly.wait_for(&id, "stopped").await;
    let (status, _) = fly.post(&format!("machines/{id}"), mounting("town", &other)).await;
    assert_eq!(status, 200);
    let replacing = error(412, "failed_precondition: machine getting replaced, refusing to start");
    assert_eq!(fly.post(&format!("machines/{id}/start"), json!(null)).await, replacing);
    fly.wait_for(&id, "stopped").await;
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(machine["config"]["mounts"][0]["volume"], json!(volume), "Fly ignores another volume");
}

#[tokio::test]
async fn exec_runs_a_few_commands_on_started_machine() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    let exec = async |command: Value| {
        let (_, said) = fly.post(&format!("machines/{id}/exec"), json!({ "command": command, "timeout": 5 })).await;
        (said["exit_code"].as_i64().unwrap(), said["stdout"].as_str().unwrap().to_owned())
    };
    assert_eq!(exec(json!(["sh", "-c", "echo \"one two\" > /home/gt/data/a"])).await.0, 0);
    assert_eq!(exec(json!(["sh", "-c", "echo three >> /home/gt/data/a"])).await.0, 0);
    assert_eq!(exec(json!(["cat", "/home/gt/data/a"])).await, (0, "one two\nthree\n".into()));
    assert_eq!(exec(json!(["sh", "-c", "echo lost > /tmp/b"])).await.0, 0);
    assert_eq!(exec(json!(["ls", "/home/gt/data"])).await, (0, "a\n".into()));
    assert_eq!(exec(json!(["cat", "/none"])).await.0, 1);
    assert_eq!(exec(json!(["rm", "-rf", "/"])).await.0, 127);
    fly.post(&format!("machines/{id}/stop"), json!({})).await;
    fly.wait_for(&id, "stopped").await;
    assert_eq!(fly.post(&format!("machines/{id}/exec"), json!({ "command": ["true"] })).await.0, 412);
    fly.post(&format!("machines/{id}/start"), json!(null)).await;
    fly.wait_for(&id, "started").await;
    assert_eq!(exec(json!(["cat", "/home/gt/data/a"])).await.0, 0, "the volume keeps its files");
    assert_eq!(exec(json!(["cat", "/tmp/b"])).await.0, 1, "the root file system does not");
}
