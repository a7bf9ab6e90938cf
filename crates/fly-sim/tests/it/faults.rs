use std::time::Duration;

use fly_sim::{Call, Capacity, Death, Effect, Fault, SimConfig, State, Timing};
use reqwest::Method;
use serde_json::json;

use crate::client::{Fly, OBSERVABLE, error, minimal, mounting};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn dropped_request_is_not_executed_and_dropped_answer_is() {
    let fly = Fly::fast().await;
    let volume = json!({ "name": "data", "region": "iad" });
    for (effect, volumes) in [(Effect::DropRequest, 0), (Effect::DropAnswer, 1)] {
        fly.sim.inject(Fault::at(Call::CreateVolume, effect.clone()));
        assert!(fly.request(Method::POST, "volumes").json(&volume).send().await.is_err(), "{effect:?}");
        assert_eq!(fly.sim.volumes().len(), volumes, "{effect:?}");
    }
    let statuses: Vec<_> = fly.sim.calls().iter().map(|call| (call.status, call.faulted)).collect();
    assert_eq!(statuses, [(None, true), (None, true)]);
}

#[tokio::test]
async fn faked_answer_replaces_or_follows_execution() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateMachine, Effect::server_error()));
    assert_eq!(fly.post("machines", minimal("town")).await, error(500, "internal server error"));
    assert_eq!(fly.sim.machines().len(), 0);
    let timeout = Effect::ApplyThenAnswer { status: 504, body: json!("gateway timeout") };
    fly.sim.inject(Fault::at(Call::CreateMachine, timeout));
    assert_eq!(fly.post("machines", minimal("town")).await, (504, json!("gateway timeout")));
    assert_eq!(fly.sim.machines().len(), 1);
}

#[tokio::test]
async fn every_capacity_error_has_fly_status_and_code() {
    let fly = Fly::fast().await;
    let mut seen = Vec::new();
    for capacity in Capacity::ALL {
        fly.sim.inject(Fault::at(Call::CreateVolume, capacity.effect()));
        let (status, body) = fly.post("volumes", json!({ "name": "data" })).await;
        seen.push((status, body["status"].as_str().map(str::to_owned)));
    }
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(
        seen,
        [
            (422, code("insufficient_capacity")),
            (412, code("volume_placement_capacity")),
            (409, None),
            (409, None),
            (409, None),
            (409, None),
            (409, None),
            (409, None),
            (400, None),
            (403, None),
        ]
    );
    assert_eq!(fly.sim.volumes(), []);
}

#[tokio::test]
async fn fault_can_be_limited_to_one_region() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateVolume, Capacity::Region.effect()).in_region("iad").always());
    for (region, want) in [("iad", 422), ("fra", 200), ("iad", 422)] {
        assert_eq!(fly.post("volumes", json!({ "name": "data", "region": region })).await.0, want, "{region}");
    }
    fly.sim.clear_faults();
    assert_eq!(fly.post("volumes", json!({ "name": "data", "region": "iad" })).await.0, 200);
}

#[tokio::test]
async fn stale_list_omits_newest_entry() {
    let fly = Fly::fast().await;
    let first = fly.create_machine(minimal("first")).await;
    fly.create_machine(minimal("second")).await;
    fly.sim.inject(Fault::at(Call::ListMachines, Effect::StaleList));
    let (_, list) = fly.get("machines").await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(first)));
    assert_eq!(fly.get("machines").await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn list_can_be_empty_despite_entries() {
    let fly = Fly::fast().await;
    fly.create_machine(minimal("town")).await;
    fly.create_volume("data").await;
    for (call, path) in [(Call::ListMachines, "machines"), (Call::ListVolumes, "volumes")] {
        fly.sim.inject(Fault::at(call, Effect::EmptyList));
        assert_eq!(fly.get(path).await, (200, json!([])), "{path}");
        assert_eq!(fly.get(path).await.1.as_array().unwrap().len(), 1, "{path}");
    }
    fly.sim.inject(Fault::at(Call::ListApps, Effect::EmptyList));
    assert_eq!(fly.get("/v1/apps?org_slug=personal").await.1["apps"], json!([]));
}

/// Returns the status of a read and the number of list entries, for a machine and for a volume.
async fn visibility(fly: &Fly, machine: &str, volume: &str) -> [(u16, usize); 2] {
    let count = async |path: &str| fly.get(path).await.1.as_array().unwrap().len();
    let wait = fly.get(&format!("machines/{machine}/wait?state=started&timeout=10")).await.0;
    let read = fly.get(&format!("machines/{machine}")).await.0;
    assert_eq!(wait, read);
    let machines = (read, count("machines").await);
    [machines, (fly.get(&format!("volumes/{volume}")).await.0, count("volumes").await)]
}

#[tokio::test]
async fn created_machine_and_volume_can_be_invisible_for_a_while() {
    let fly = Fly::fast().await;
    let hide = |call: Call, duration: Duration| fly.sim.inject(Fault::at(call, Effect::invisible_for(duration)));
    for call in [Call::CreateVolume, Call::CreateMachine] {
        hide(call, HOUR);
    }
    let volume = fly.create_volume("data").await;
    // A machine can mount an invisible volume.
    let machine = fly.create_machine(mounting("town", &volume)).await;
    assert_eq!(visibility(&fly, &machine, &volume).await, [(404, 0); 2]);
    let duplicate = fly.post("machines", minimal("town")).await;
    assert_eq!(duplicate.0, 409, "the name is taken: {duplicate:?}");

    hide(Call::CreateMachine, Duration::from_millis(20));
    let machine = fly.create_machine(minimal("another")).await;
    fly.until(200, async || fly.get(&format!("machines/{machine}")).await).await;
    assert_eq!(visibility(&fly, &machine, &volume).await, [(200, 1), (404, 0)]);
}

#[tokio::test]
async fn read_lag_hides_every_new_machine_and_volume() {
    let timing = Timing { read_lag: HOUR, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let volume = fly.create_volume("data").await;
    let machine = fly.create_machine(minimal("town")).await;
    assert_eq!(visibility(&fly, &machine, &volume).await, [(404, 0); 2]);
}

#[tokio::test]
async fn throttling_can_include_retry_after() {
    let fly = Fly::fast().await;
    for (effect, want) in [(Effect::throttled(), None), (Effect::throttled_for(Duration::from_secs(7)), Some("7"))] {
        fly.sim.inject(Fault::at(Call::CreateMachine, effect));
        let answer = fly.request(Method::POST, "machines").json(&minimal("town")).send().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().unwrap()), want);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap(), error(429, "rate limit exceeded").1);
    }
    assert_eq!(fly.sim.machines(), []);
}

#[tokio::test]
async fn created_machine_can_stay_stuck_before_started() {
    let fly = Fly::fast().await;
    for state in [State::Created, State::Starting] {
        fly.sim.inject(Fault::at(Call::CreateMachine, Effect::Stuck { state }));
        let id = fly.create_machine(minimal(state.as_str())).await;
        let (status, answer) = fly.get(&format!("machines/{id}/wait?state=started&timeout=1")).await;
        assert_eq!(status, 408);
        assert!(answer["error"].as_str().unwrap().ends_with(&format!("currently {state}")), "{answer}");
    }
}

#[tokio::test]
async fn delayed_call_is_executed_after_caller_disconnects() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateVolume, Effect::delay(OBSERVABLE)));
    let call = fly.request(Method::POST, "volumes").json(&json!({ "name": "late" }));
    let caller = tokio::spawn(call.send());
    fly.until(200, async || (if fly.sim.calls().is_empty() { 404 } else { 200 }, json!(null))).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(fly.sim.volumes(), []);
    fly.until(200, async || {
        let found = fly.sim.volumes().iter().any(|volume| volume.name == "late");
        (if found { 200 } else { 404 }, json!(null))
    })
    .await;
}

#[tokio::test]
async fn machine_can_be_killed_in_several_ways() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    assert!(fly.sim.kill_machine(&id, Death::Process));
    fly.wait_for(&id, "started").await;
    assert!(fly.sim.kill_machine(&id, Death::Stopped));
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(machine["state"], "stopped");
    assert_eq!(machine["events"][0]["request"]["exit_event"]["oom_killed"], true);
    assert!(fly.sim.kill_machine(&id, Death::Destroyed));
    fly.wait_for(&id, "destroyed").await;
    assert!(!fly.sim.kill_machine(&id, Death::Destroyed));
    assert_eq!(fly.sim.volumes().len(), 1, "the volume is kept");
}

#[tokio::test]
async fn lost_volume_stops_its_machine() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    fly.sim.inject(Fault::at(Call::GetMachine, Effect::LoseVolume));
    fly.get(&format!("machines/{id}")).await;
    assert_eq!(fly.get(&format!("volumes/{volume}")).await, error(404, "volume not found"));
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "stopped");
    assert_eq!(fly.post(&format!("machines/{id}/start"), json!(null)).await, error(404, "volume not found"));
}

#[tokio::test]
async fn fault_kills_the_machine_of_the_call() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("one")).await;
    fly.start_machine(minimal("two")).await;
    fly.sim.inject(Fault::at(Call::GetMetadata, Effect::KillMachine { death: Death::Stopped }));
    fly.get(&format!("machines/{id}/metadata")).await;
    let states: Vec<State> = fly.sim.machines().into_iter().map(|machine| machine.state).collect();
    assert_eq!(states, [State::Stopped, State::Started]);
}

#[tokio::test]
async fn destroy_can_be_stuck() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.sim.inject(Fault::at(Call::DeleteMachine, Effect::Stuck { state: State::Destroying }));
    fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=destroyed&timeout=1")).await.0, 408);
}

#[tokio::test]
async fn machine_on_unreachable_host_is_readable_and_refuses_changes() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let mut body = mounting("town", &volume);
    body["config"]["metadata"] = json!({ "gastown_town_id": "t" });
    let id = fly.start_machine(body).await;
    let host_of_volume = async || fly.get(&format!("volumes/{volume}")).await.1["host_status"].clone();
    assert_eq!(host_of_volume().await, "ok");
    fly.sim.inject(Fault::at(Call::ListMachines, Effect::HostDown));
    fly.get("machines").await;

    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!((&machine["state"], &machine["host_status"]), (&json!("started"), &json!("unreachable")));
    assert_eq!(
        (&machine["config"], &machine["incomplete_config"]["image"]),
        (&json!(null), &json!("registry.fly.io/img:1"))
    );
    assert_eq!(fly.get("machines?metadata.gastown_town_id=t").await, (200, json!([])), "the filter omits it");
    assert_eq!(host_of_volume().await, "unreachable", "it is on the same host");
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!(null)).await.0, 503);
    let (status, _) = fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(status, 200, "a destroy is accepted");
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=destroyed&timeout=1")).await.0, 408);
    assert!(fly.sim.set_host_down(&id, false));
    assert_eq!(host_of_volume().await, "ok");
    fly.wait_for(&id, "destroyed").await;
}

#[tokio::test]
async fn migrated_volume_has_new_id_and_same_files() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    let write = json!({ "command": ["sh", "-c", "echo kept > /home/gt/data/note"] });
    fly.post(&format!("machines/{id}/exec"), write).await;
    let moved = fly.sim.migrate_volume(&volume).unwrap();
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(machine["config"]["mounts"][0]["volume"], json!(moved));
    assert_eq!(fly.get(&format!("volumes/{volume}")).await.1["state"], "pending_destroy");
    let read = json!({ "command": ["cat", "/home/gt/data/note"] });
    assert_eq!(fly.post(&format!("machines/{id}/exec"), read).await.1["stdout"], "kept\n");
}
