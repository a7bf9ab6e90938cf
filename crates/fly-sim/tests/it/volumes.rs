use fly_sim::{SimConfig, Timing};
use serde_json::{Value, json};

use crate::client::{Fly, OBSERVABLE, error, mounting};

#[tokio::test]
async fn volume_has_the_fields_of_fly() {
    let fly = Fly::fast().await;
    let nulls = json!({
        "name": "town_1", "region": "iad", "size_gb": 50, "encrypted": null, "snapshot_id": null,
        "source_volume_id": null, "compute": null, "require_unique_zone": null,
    });
    let (status, volume) = fly.post("volumes", nulls).await;
    assert_eq!(status, 200, "{volume}");
    let id = volume["id"].as_str().unwrap();
    assert!(id.starts_with("vol_"));
    assert_eq!((&volume["state"], &volume["encrypted"]), (&json!("created"), &json!(true)));
    assert_eq!((&volume["attached_machine_id"], &volume["size_gb"]), (&Value::Null, &json!(50)));
    assert_eq!(fly.get(&format!("volumes/{id}")).await, (200, volume.clone()));
    assert_eq!(fly.get("volumes").await, (200, json!([volume])));
}

#[tokio::test]
async fn volume_names_are_not_unique() {
    let fly = Fly::fast().await;
    assert_ne!(fly.create_volume("same").await, fly.create_volume("same").await);
    assert_eq!(fly.sim.volumes().len(), 2);
}

#[tokio::test]
async fn invalid_volumes_are_refused_and_not_created() {
    let fly = Fly::fast().await;
    for body in [
        json!({ "region": "iad" }),
        json!({ "name": "with-dash", "region": "iad" }),
        json!({ "name": "a".repeat(31), "region": "iad" }),
        json!({ "name": "v", "region": "xxx" }),
        json!({ "name": "v", "region": "iad,fra" }),
        json!({ "name": "v", "size_gb": 0 }),
        json!({ "name": "v", "size_gb": 501 }),
        json!({ "name": "v", "size_gb": "3" }),
        json!({ "name": "v", "snapshot_retention": 0 }),
        json!({ "name": "v", "snapshot_retention": 99 }),
    ] {
        let (status, refusal) = fly.post("volumes", body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(refusal["error"].as_str().unwrap().starts_with("invalid_argument: "), "{refusal}");
    }
    assert_eq!(fly.sim.volumes(), []);
}

#[tokio::test]
async fn deleted_volume_is_readable_for_a_while() {
    let timing = Timing { volume_tombstone: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.create_volume("data").await;
    let (status, deleted) = fly.delete(&format!("volumes/{id}")).await;
    assert_eq!((status, &deleted["state"]), (200, &json!("pending_destroy")));
    assert_eq!(fly.get(&format!("volumes/{id}")).await.1["state"], "pending_destroy");
    assert_eq!(fly.sim.volumes(), []);
    let gone = fly.until(404, async || fly.get(&format!("volumes/{id}")).await).await;
    assert_eq!(gone, json!({ "error": "volume not found" }));
    assert_eq!(fly.delete(&format!("volumes/{id}")).await, error(404, "volume not found"));
}

#[tokio::test]
async fn volume_stays_bound_after_its_machine_is_destroyed() {
    let timing = Timing { volume_release: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let volume = fly.create_volume("data").await;
    let id = fly.create_machine(mounting("town", &volume)).await;
    let bound = error(412, &format!("failed_precondition: volume is currently bound to machine: {id}"));
    let claimed = error(412, &format!("failed_precondition: volume already claimed by machine {id}"));

    assert_eq!(fly.get(&format!("volumes/{volume}")).await.1["attached_machine_id"], json!(id));
    assert_eq!(fly.delete(&format!("volumes/{volume}")).await, bound);
    assert_eq!(fly.post("machines", mounting("other", &volume)).await, claimed);

    fly.delete(&format!("machines/{id}?force=true")).await;
    fly.wait_for(&id, "destroyed").await;
    assert_eq!(fly.delete(&format!("volumes/{volume}")).await, bound, "still bound after the destroy");
    fly.until(200, async || fly.delete(&format!("volumes/{volume}")).await).await;
}

#[tokio::test]
async fn machine_needs_existing_volume_in_its_region() {
    let fly = Fly::fast().await;
    assert_eq!(fly.post("machines", mounting("town", "vol_none")).await, error(404, "volume not found"));
    let volume = fly.create_volume("data").await;
    let mut elsewhere = mounting("town", &volume);
    elsewhere["region"] = json!("fra");
    assert_eq!(fly.post("machines", elsewhere).await.0, 400);
    fly.delete(&format!("volumes/{volume}")).await;
    assert_eq!(fly.post("machines", mounting("town", &volume)).await, error(404, "volume not found"));
    assert_eq!(fly.sim.machines(), []);
}

#[tokio::test]
async fn volume_can_grow_and_cannot_shrink() {
    let fly = Fly::fast().await;
    let id = fly.create_volume("data").await;
    let (status, grown) = fly.put(&format!("volumes/{id}/extend"), json!({ "size_gb": 10 })).await;
    assert_eq!((status, &grown["volume"]["size_gb"]), (200, &json!(10)));
    assert_eq!(fly.put(&format!("volumes/{id}/extend"), json!({ "size_gb": 5 })).await.0, 400);
}

#[tokio::test]
async fn fork_has_the_files_of_its_source() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    let write = json!({ "command": ["sh", "-c", "echo kept > /home/gt/data/note"] });
    assert_eq!(fly.post(&format!("machines/{id}/exec"), write).await.1["exit_code"], 0);
    fly.post("volumes", json!({ "name": "copy", "source_volume_id": volume })).await;
    let copy = fly.sim.volumes().into_iter().find(|volume| volume.name == "copy").unwrap();
    assert_eq!(copy.files["note"], "kept\n");
}
