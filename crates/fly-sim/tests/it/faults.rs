use std::time::Duration;

use fly_sim::{Call, Capacity, Death, Effect, Fault, SimConfig, State, Timing};
use reqwest::Method;
use serde_json::json;

use crate::client::{A_WHILE, Fly, error, mounting, plain};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_dropped_request_does_nothing_and_a_dropped_answer_hides_what_was_done() {
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
async fn an_answer_can_lie_before_and_after_the_deed() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateMachine, Effect::server_error()));
    assert_eq!(fly.post("machines", plain("town")).await, error(500, "internal server error"));
    assert_eq!(fly.sim.machines().len(), 0);
    let late = Effect::ApplyThenAnswer { status: 504, body: json!("gateway timeout") };
    fly.sim.inject(Fault::at(Call::CreateMachine, late));
    assert_eq!(fly.post("machines", plain("town")).await, (504, json!("gateway timeout")));
    assert_eq!(fly.sim.machines().len(), 1);
}

#[tokio::test]
async fn every_disguise_of_missing_capacity_has_flys_words() {
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
async fn a_fault_can_hold_in_one_region_alone() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateVolume, Capacity::Region.effect()).in_region("iad").always());
    for (region, want) in [("iad", 422), ("fra", 200), ("iad", 422)] {
        assert_eq!(fly.post("volumes", json!({ "name": "data", "region": region })).await.0, want, "{region}");
    }
    fly.sim.clear_faults();
    assert_eq!(fly.post("volumes", json!({ "name": "data", "region": "iad" })).await.0, 200);
}

#[tokio::test]
async fn a_stale_list_misses_the_newest() {
    let fly = Fly::fast().await;
    let first = fly.machine(plain("first")).await;
    fly.machine(plain("second")).await;
    fly.sim.inject(Fault::at(Call::ListMachines, Effect::StaleList));
    let (_, list) = fly.get("machines").await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(first)));
    assert_eq!(fly.get("machines").await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_can_come_back_empty_although_there_is_something() {
    let fly = Fly::fast().await;
    fly.machine(plain("town")).await;
    fly.volume("data").await;
    for (call, path) in [(Call::ListMachines, "machines"), (Call::ListVolumes, "volumes")] {
        fly.sim.inject(Fault::at(call, Effect::EmptyList));
        assert_eq!(fly.get(path).await, (200, json!([])), "{path}");
        assert_eq!(fly.get(path).await.1.as_array().unwrap().len(), 1, "{path}");
    }
    fly.sim.inject(Fault::at(Call::ListApps, Effect::EmptyList));
    assert_eq!(fly.get("/v1/apps?org_slug=personal").await.1["apps"], json!([]));
}

/// What reads and lists show of a machine and of a volume: status of the read, of the wait, entries of the list.
async fn seen(fly: &Fly, machine: &str, volume: &str) -> [(u16, usize); 2] {
    let listed = async |path: &str| fly.get(path).await.1.as_array().unwrap().len();
    let wait = fly.get(&format!("machines/{machine}/wait?state=started&timeout=10")).await.0;
    let read = fly.get(&format!("machines/{machine}")).await.0;
    assert_eq!(wait, read);
    let machines = (read, listed("machines").await);
    [machines, (fly.get(&format!("volumes/{volume}")).await.0, listed("volumes").await)]
}

#[tokio::test]
async fn what_is_made_may_not_be_seen_at_once() {
    let fly = Fly::fast().await;
    let hide = |call: Call, pause: Duration| fly.sim.inject(Fault::at(call, Effect::unseen_for(pause)));
    for call in [Call::CreateVolume, Call::CreateMachine] {
        hide(call, HOUR);
    }
    let volume = fly.volume("data").await;
    // A machine can be made on what cannot be seen, and what is hidden goes on living.
    let machine = fly.machine(mounting("town", &volume)).await;
    assert_eq!(seen(&fly, &machine, &volume).await, [(404, 0); 2]);
    let twin = fly.post("machines", plain("town")).await;
    assert_eq!(twin.0, 409, "its name is taken: {twin:?}");

    hide(Call::CreateMachine, Duration::from_millis(20));
    let machine = fly.machine(plain("another")).await;
    fly.until(200, async || fly.get(&format!("machines/{machine}")).await).await;
    assert_eq!(seen(&fly, &machine, &volume).await, [(200, 1), (404, 0)]);
}

#[tokio::test]
async fn reads_can_lag_behind_every_creation() {
    let timing = Timing { read_lag: HOUR, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let volume = fly.volume("data").await;
    let machine = fly.machine(plain("town")).await;
    assert_eq!(seen(&fly, &machine, &volume).await, [(404, 0); 2]);
}

#[tokio::test]
async fn throttling_may_say_how_long_to_wait() {
    let fly = Fly::fast().await;
    for (effect, want) in [(Effect::throttled(), None), (Effect::throttled_for(Duration::from_secs(7)), Some("7"))] {
        fly.sim.inject(Fault::at(Call::CreateMachine, effect));
        let answer = fly.request(Method::POST, "machines").json(&plain("town")).send().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().unwrap()), want);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap(), error(429, "rate limit exceeded").1);
    }
    assert_eq!(fly.sim.machines(), []);
}

#[tokio::test]
async fn a_machine_can_be_made_that_never_starts() {
    let fly = Fly::fast().await;
    for state in [State::Created, State::Starting] {
        fly.sim.inject(Fault::at(Call::CreateMachine, Effect::Stuck { state }));
        let id = fly.machine(plain(state.as_str())).await;
        let (status, answer) = fly.get(&format!("machines/{id}/wait?state=started&timeout=1")).await;
        assert_eq!(status, 408);
        assert!(answer["error"].as_str().unwrap().ends_with(&format!("currently {state}")), "{answer}");
    }
}

#[tokio::test]
async fn a_late_call_is_carried_out_even_when_nobody_waits_for_it() {
    let fly = Fly::fast().await;
    fly.sim.inject(Fault::at(Call::CreateVolume, Effect::delay(A_WHILE)));
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
async fn machines_die_in_several_ways() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    let id = fly.started(mounting("town", &volume)).await;
    assert!(fly.sim.kill_machine(&id, Death::Process));
    fly.reach(&id, "started").await;
    assert!(fly.sim.kill_machine(&id, Death::Stays));
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(machine["state"], "stopped");
    assert_eq!(machine["events"][0]["request"]["exit_event"]["oom_killed"], true);
    assert!(fly.sim.kill_machine(&id, Death::Destroyed));
    fly.reach(&id, "destroyed").await;
    assert!(!fly.sim.kill_machine(&id, Death::Destroyed));
    assert_eq!(fly.sim.volumes().len(), 1, "the volume outlives its machine");
}

#[tokio::test]
async fn a_lost_volume_takes_its_machine_down() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    let id = fly.started(mounting("town", &volume)).await;
    fly.sim.inject(Fault::at(Call::GetMachine, Effect::LoseVolume));
    fly.get(&format!("machines/{id}")).await;
    assert_eq!(fly.get(&format!("volumes/{volume}")).await, error(404, "volume not found"));
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "stopped");
    assert_eq!(fly.post(&format!("machines/{id}/start"), json!(null)).await, error(404, "volume not found"));
}

#[tokio::test]
async fn a_fault_kills_the_machine_that_the_call_names() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("one")).await;
    fly.started(plain("two")).await;
    fly.sim.inject(Fault::at(Call::GetMetadata, Effect::KillMachine { death: Death::Stays }));
    fly.get(&format!("machines/{id}/metadata")).await;
    let states: Vec<State> = fly.sim.machines().into_iter().map(|machine| machine.state).collect();
    assert_eq!(states, [State::Stopped, State::Started]);
}

#[tokio::test]
async fn a_destroy_can_be_stuck() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    fly.sim.inject(Fault::at(Call::DeleteMachine, Effect::Stuck { state: State::Destroying }));
    fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=destroyed&timeout=1")).await.0, 408);
}

#[tokio::test]
async fn a_machine_on_a_host_that_is_down_is_shown_and_cannot_be_moved() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    let mut body = mounting("town", &volume);
    body["config"]["metadata"] = json!({ "gastown_town_id": "t" });
    let id = fly.started(body).await;
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
    assert_eq!(fly.get("machines?metadata.gastown_town_id=t").await, (200, json!([])), "the filter misses it");
    assert_eq!(host_of_volume().await, "unreachable", "it lies on the same host");
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!(null)).await.0, 503);
    let (status, _) = fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(status, 200, "a destroy is noted");
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=destroyed&timeout=1")).await.0, 408);
    assert!(fly.sim.set_host_down(&id, false));
    assert_eq!(host_of_volume().await, "ok");
    fly.reach(&id, "destroyed").await;
}

#[tokio::test]
async fn a_migrated_volume_has_a_new_id_and_the_old_files() {
    let fly = Fly::fast().await;
    let volume = fly.volume("data").await;
    let id = fly.started(mounting("town", &volume)).await;
    let write = json!({ "command": ["sh", "-c", "echo kept > /home/gt/data/note"] });
    fly.post(&format!("machines/{id}/exec"), write).await;
    let moved = fly.sim.migrate_volume(&volume).unwrap();
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    assert_eq!(machine["config"]["mounts"][0]["volume"], json!(moved));
    assert_eq!(fly.get(&format!("volumes/{volume}")).await.1["state"], "pending_destroy");
    let read = json!({ "command": ["cat", "/home/gt/data/note"] });
    assert_eq!(fly.post(&format!("machines/{id}/exec"), read).await.1["stdout"], "kept\n");
}
