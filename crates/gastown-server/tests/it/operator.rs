//! `gastown town` and `gastown operations`: what an operator sees and does, with the database's address and nothing else.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_domain::Backoff;
use gastown_domain::ports::Clock as _;
use gastown_orchestrator::Policy;
use gastown_server::SystemClock;
use serde_json::{Value, json};

use crate::process::Gastown;
use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    a_town_is_shown_whole,
    what_is_in_flight_is_listed,
    what_flys_limits_hold_up_says_so,
    a_destroy_that_fails_for_long_is_shown_and_ends_when_it_is_retried,
    an_operator_destroys_a_users_town,
    a_destroy_takes_over_what_is_in_flight,
    a_wait_that_is_too_short_says_what_it_waited_for,
    nothing_is_destroyed_unasked,
    where_nothing_is_in_flight_nothing_is_retried,
    a_town_that_is_none_is_told,
    a_town_whose_rows_cannot_be_read_is_shown_and_destroyed,
}

const NOBODYS: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

async fn a_town_is_shown_whole(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let id = town.id.to_string();
    let ended = stage.gastown(&["town", "show", &id]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    for told in
        ["Town mill of alice: running", &id, town.machine(), town.volume(), "app", "github.com/acme", "create", "done"]
    {
        assert!(ended.out.contains(told), "{told}:\n{}", ended.out);
    }
    let told = stage.gastown_json(&["town", "show", &id]).await;
    assert_eq!(told["town"]["flyMachineId"], town.machine());
    assert_eq!((&told["town"]["userId"], &told["town"]["status"]), (&json!(ALICE), &json!("running")));
    assert_eq!((&told["rigs"][0]["rigName"], &told["rigs"][0]["status"]), (&json!("app"), &json!("active")));
    assert_eq!((&told["operation"], &told["orphans"]), (&Value::Null, &json!([])));
    let last = &told["events"].as_array().unwrap().iter().find(|event| event["action"] == "create").unwrap();
    assert_eq!((&last["outcome"], &last["actor"]), (&json!("done"), &json!(ALICE)));
    // Whoever looks at a machine at Fly has its name.
    let by_name = stage.gastown_json(&["town", "show", &format!("town-{}", town.id.simple())]).await;
    assert_eq!(by_name["town"], told["town"]);
    // Nobody counts these.
    assert!(!ended.out.contains("failed checks") && told["health"].get("failures").is_none(), "{told}");
    assert!(!(ended.out + &told.to_string()).contains("canary"));
    stage
}

async fn what_is_in_flight_is_listed(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let nothing = stage.gastown(&["operations"]).await;
    assert!(nothing.out.starts_with("Nothing is in flight."), "{}", nothing.out);
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::never_starts()));
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("its machine is waited for", async || {
        stage.rows.operations().await.iter().any(|operation| operation.step.as_deref() == Some("await_on"))
    })
    .await;
    let told = stage.gastown_json(&["operations"]).await;
    let operation = &told["operations"][0];
    let row = &stage.rows.operations().await[0];
    assert_eq!((&operation["kind"], &operation["userId"]), (&json!("create"), &json!(ALICE)));
    assert_eq!((&operation["step"], &operation["attention"]), (&json!("await_on"), &json!(false)));
    assert_eq!((&operation["townId"], &operation["heldBy"]), (&json!(row.town_id), &json!(row.owner)));
    assert!(operation["leaseExpiresAt"].is_string() && operation["nextAttemptAt"].is_string(), "{operation}");
    let shown = stage.gastown(&["operations"]).await.out;
    assert!(shown.contains(&row.town_id.to_string()) && shown.contains("await_on"), "{shown}");
    assert_eq!(stage.gastown_json(&["operations", "--attention"]).await["operations"], json!([]));
    let town = stage.gastown(&["town", "show", &row.town_id.to_string()]).await.out;
    assert!(town.contains("In flight") && town.contains(row.owner.as_deref().unwrap()), "{town}");
    stage.on_town("destroyTown", row.town_id).await.unwrap();
    assert!(create.await.unwrap().is_err());
    stage
}

/// A queue towards Fly is no failure, and everybody who waits in it can see that (FM-53).
async fn what_flys_limits_hold_up_says_so(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.raise().await;
    let throttled = Effect::throttled_for(Duration::from_secs(3));
    stage.sim.inject(Fault::at(Call::CreateMachine, throttled).always());
    let town = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap()["townId"].clone();
    until("it was held up", async || {
        let told = stage.gastown_json(&["operations"]).await;
        told["operations"][0]["queuedMs"].as_u64().is_some_and(|queued| queued >= 1000)
    })
    .await;
    let shown = stage.gastown(&["operations"]).await.out;
    let status = stage.call(ALICE, "getTownStatus", json!({ "townId": town })).await.unwrap();
    assert!(shown.contains("throttled, queued "), "{shown}");
    let operation = &status["operation"];
    assert_eq!(operation["lastError"]["code"], "throttled");
    assert!(operation["queuedMs"].as_u64().is_some_and(|queued| queued >= 1000), "{operation}");
    stage.sim.clear_faults();
    stage
}

async fn a_destroy_that_fails_for_long_is_shown_and_ends_when_it_is_retried(mut setup: Setup) -> Stage {
    const HOURS: Duration = Duration::from_secs(4 * 60 * 60);
    setup.policy.timeouts.caller = Duration::from_millis(200);
    // As the command judges by, which knows no settings.
    setup.policy.limits.alert_attempts = Policy::production().limits.alert_attempts;
    setup.policy.backoff.alert = Backoff { first: HOURS, max: HOURS };
    let stage = setup.raise().await;
    let town = stage.created("mill").await;
    stage.sim.inject(Fault::at(Call::DeleteMachine, Effect::server_error()).always());
    stage.on_town("destroyTown", town.id).await.unwrap();
    let attention = async || stage.gastown_json(&["operations", "--attention"]).await["operations"].clone();
    until("it needs attention", async || attention().await != json!([])).await;

    let told = &attention().await[0];
    assert_eq!((&told["kind"], &told["attention"]), (&json!("destroy"), &json!(true)));
    assert_eq!(told["lastError"]["code"], "provider_unavailable");
    let shown = stage.gastown(&["operations", "--attention"]).await.out;
    assert!(shown.contains("! failed many times") && shown.contains("provider_unavailable"), "{shown}");
    let errors = stage.replicas[0].log.take_errors();
    assert!(errors.len() == 1 && errors[0].contains("needs attention"), "{errors:?}");

    stage.sim.clear_faults();
    let due: chrono::DateTime<chrono::Utc> = told["nextAttemptAt"].as_str().unwrap().parse().unwrap();
    assert!(due > SystemClock.now() + HOURS / 4, "it is tried again soon anyway: {due}");
    assert_eq!(stage.rows.operations().await.len(), 1);
    let ended = stage.gastown(&["town", "retry", &town.id.to_string()]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.out.contains("due now") && ended.out.contains("next sweep"), "{}", ended.out);
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    assert!(stage.rows.events().await.iter().any(|event| event.actor == "operator:olga"));
    stage
}

async fn an_operator_destroys_a_users_town(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    for state in ["running", "stopped"] {
        let town = stage.running("mill").await;
        if state == "stopped" {
            stage.on_town("stopTown", town.id).await.unwrap();
        }
        let id = town.id.to_string();
        let ended = stage.gastown(&["town", "destroy", &id, "--yes", "--wait", "20"]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        assert!(ended.out.ends_with(&format!("Town {id} is destroyed; nothing of it is left.\n")), "{}", ended.out);
        let row = stage.rows.town(town.id).await;
        assert_eq!((row.status.as_str(), row.fly_machine_id, row.fly_volume_id), ("destroyed", None, None), "{state}");
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
        let asked = stage.rows.events().await.into_iter().find(|event| event.actor == "operator:olga").unwrap();
        assert_eq!(asked.action, "destroy");
        // Once more is the same.
        let again = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
        assert_eq!(again, json!({"townId": id, "status": "destroyed", "gone": true, "operation": null}));
    }
    stage
}

async fn a_destroy_takes_over_what_is_in_flight(mut setup: Setup) -> Stage {
    setup.policy.timeouts.lease = Duration::from_millis(1500);
    setup.policy.backoff.poll_interval = Duration::from_millis(50);
    let stage = setup.raise().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("it is in flight", async || !stage.rows.operations().await.is_empty()).await;
    let id = stage.rows.towns().await[0].id.to_string();
    let told = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
    assert_eq!((&told["gone"], &told["operation"]["kind"]), (&json!(false), &json!("destroy")), "{told}");
    let refused = create.await.unwrap().unwrap_err();
    assert_eq!(refused.message, "The town could not be created: the town was destroyed meanwhile");
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn a_wait_that_is_too_short_says_what_it_waited_for(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(Call::DeleteMachine, Effect::throttled()).always());
    let ended = stage.gastown(&["town", "destroy", &town.id.to_string(), "--yes", "--wait", "1"]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.out);
    assert!(ended.err.contains("is not gone after 1 seconds") && ended.err.contains("it goes on"), "{}", ended.err);
    assert!(ended.out.contains("destroy: "), "{}", ended.out);
    stage.sim.clear_faults();
    stage.idle().await;
    assert_eq!(stage.rows.town(town.id).await.fly_machine_id, None);
    stage
}

async fn a_town_whose_rows_cannot_be_read_is_shown_and_destroyed(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    let town = stage.running("mill").await;
    let id = town.id.to_string();
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let stop = stage.spawn_call(ALICE, "stopTown", json!({ "townId": town.id }));
    until("its stop is in flight", async || {
        stage.rows.operations().await.iter().any(|operation| operation.kind == "stop")
    })
    .await;
    stage.crash().await;
    assert!(stop.await.is_err());
    stage.sim.clear_faults();
    stage.rows.execute("UPDATE gastown_operations SET step = 'rubbish'").await;
    stage.rows.execute("UPDATE gastown_town_health SET drift = 'rubbish'").await;

    let shown = stage.gastown(&["town", "show", &id]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", shown.err);
    for told in ["Town mill of alice: running", town.machine(), "gastown_operations.step", "gastown_town_health.drift"]
    {
        assert!(shown.out.contains(told), "{told}:\n{}", shown.out);
    }
    let told = stage.gastown_json(&["town", "show", &id]).await;
    assert_eq!((&told["town"]["flyVolumeId"], &told["operation"]["townId"]), (&json!(town.volume()), &json!(id)));
    assert!(told["operation"]["unreadable"].as_str().unwrap().contains("gastown_operations.step"), "{told}");
    assert!(told["health"]["unreadable"].as_str().unwrap().contains("gastown_town_health.drift"), "{told}");
    for arguments in [&["operations"][..], &["operations", "--attention"]] {
        let listed = stage.gastown(arguments).await.out;
        assert!(listed.contains(&id) && listed.contains("? cannot be read"), "{listed}");
    }
    let listed = stage.gastown_json(&["operations"]).await;
    assert_eq!(listed["operations"][0]["townId"], json!(id));
    let retried = stage.gastown(&["town", "retry", &id]).await;
    assert!(retried.status.code() == Some(1) && retried.err.contains("gastown_operations.step"), "{}", retried.err);

    let destroyed = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
    assert_eq!((&destroyed["gone"], &destroyed["operation"]["kind"]), (&json!(false), &json!("destroy")));
    assert!(stage.rows.events().await.iter().any(|event| event.action == "stop" && event.outcome == "preempted"));
    stage.add_replica().await;
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn nothing_is_destroyed_unasked(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    let before = stage.rows.everything().await;
    let ended = stage.gastown(&["town", "destroy", &town.id.to_string()]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("add --yes"), "{}", ended.err);
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn where_nothing_is_in_flight_nothing_is_retried(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    let before = stage.rows.everything().await;
    let ended = stage.gastown(&["town", "retry", &town.id.to_string()]).await;
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("nothing is in flight on town"), "{}", ended.err);
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn a_town_that_is_none_is_told(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    for action in ["show", "retry", "destroy"] {
        let arguments = ["town", action, NOBODYS, "--json", "--yes"];
        let arguments = &arguments[..if action == "destroy" { 5 } else { 4 }];
        let ended = stage.gastown(arguments).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{action}");
        assert!(ended.err.contains(&format!("no such town: {NOBODYS}")), "{}", ended.err);
        for wrong in ["mill", "148ed21a031189", "town-0190", &NOBODYS[1..]] {
            let ended = stage.gastown(&["town", action, wrong]).await;
            assert_eq!(ended.status.code(), Some(2), "{action} {wrong}");
            assert!(ended.err.contains("must be the id of a town, such as "), "{}", ended.err);
        }
    }
    stage
}

#[tokio::test]
async fn a_database_that_is_not_named_or_not_ready_is_told() {
    for arguments in [&["operations"][..], &["town", "show", NOBODYS]] {
        let ended = Gastown::run(arguments, &[]).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("DATABASE_URL is missing"), "{}", ended.err);
        let empty = crate::serve::empty(crate::stage::Engine::Postgres).await;
        let ended = Gastown::run(arguments, &[("DATABASE_URL".to_owned(), empty.url().to_owned())]).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("run `gastown migrate up`"), "{}", ended.err);
    }
}
