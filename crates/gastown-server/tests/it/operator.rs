//! `gastown town` and `gastown operations`, which need only the database's address.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_domain::Backoff;
use gastown_domain::ports::Clock as _;
use gastown_orchestrator::Policy;
use gastown_system::SystemClock;
use serde_json::{Value, json};

use crate::process::Gastown;
use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    town_show_has_everything,
    operations_in_flight_are_listed,
    time_in_queues_is_shown,
    failing_destroy_needs_attention_and_ends_after_a_retry,
    operator_destroys_a_users_town,
    destroy_preempts_the_operation_in_flight,
    destroy_wait_that_times_out_reports_the_progress,
    destroy_requires_confirmation,
    retry_without_an_operation_is_an_error,
    unknown_town_is_an_error,
    town_with_unreadable_rows_is_shown_and_destroyed,
}

const UNKNOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

async fn town_show_has_everything(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let id = town.id.to_string();
    let ended = stage.gastown(&["town", "show", &id]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    for text in
        ["Town mill of alice: running", &id, town.machine(), town.volume(), "app", "github.com/acme", "create", "done"]
    {
        assert!(ended.out.contains(text), "{text}:\n{}", ended.out);
    }
    let answer = stage.gastown_json(&["town", "show", &id]).await;
    assert_eq!(answer["town"]["flyMachineId"], town.machine());
    assert_eq!((&answer["town"]["userId"], &answer["town"]["status"]), (&json!(ALICE), &json!("running")));
    assert_eq!((&answer["rigs"][0]["rigName"], &answer["rigs"][0]["status"]), (&json!("app"), &json!("active")));
    assert_eq!((&answer["operation"], &answer["orphans"]), (&Value::Null, &json!([])));
    let last = &answer["events"].as_array().unwrap().iter().find(|event| event["action"] == "create").unwrap();
    assert_eq!((&last["outcome"], &last["actor"]), (&json!("done"), &json!(ALICE)));
    // An operator who reads a machine at Fly has its name.
    let by_name = stage.gastown_json(&["town", "show", &format!("town-{}", town.id.simple())]).await;
    assert_eq!(by_name["town"], answer["town"]);
    assert_eq!((&answer["health"]["state"], &answer["health"]["failures"]), (&json!("unknown"), &json!(0)));
    assert!(!(ended.out + &answer.to_string()).contains("canary"));
    stage
}

async fn operations_in_flight_are_listed(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let nothing = stage.gastown(&["operations"]).await;
    assert!(nothing.out.starts_with("No operations in flight."), "{}", nothing.out);
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::never_starts()));
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("it waits for its machine", async || {
        stage.rows.operations().await.iter().any(|operation| operation.step.as_deref() == Some("await_on"))
    })
    .await;
    let answer = stage.gastown_json(&["operations"]).await;
    let operation = &answer["operations"][0];
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

/// Tests that time in a queue is no failure, and is visible to users and operators (FM-53).
async fn time_in_queues_is_shown(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.start().await;
    let throttled = Effect::throttled_for(Duration::from_secs(3));
    stage.sim.inject(Fault::at(Call::CreateMachine, throttled).always());
    let town = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap()["townId"].clone();
    until("it was queued", async || {
        let answer = stage.gastown_json(&["operations"]).await;
        answer["operations"][0]["queuedMs"].as_u64().is_some_and(|queued| queued >= 1000)
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

async fn failing_destroy_needs_attention_and_ends_after_a_retry(mut setup: Setup) -> Stage {
    const HOURS: Duration = Duration::from_secs(4 * 60 * 60);
    setup.policy.timeouts.caller = Duration::from_millis(200);
    // The value that the command uses, which reads no settings.
    setup.policy.limits.alert_attempts = Policy::production().limits.alert_attempts;
    setup.policy.backoff.alert = Backoff { first: HOURS, max: HOURS };
    let stage = setup.start().await;
    let town = stage.created("mill").await;
    stage.sim.inject(Fault::at(Call::DeleteMachine, Effect::server_error()).always());
    stage.on_town("destroyTown", town.id).await.unwrap();
    let attention = async || stage.gastown_json(&["operations", "--attention"]).await["operations"].clone();
    until("it needs attention", async || attention().await != json!([])).await;

    let answer = &attention().await[0];
    assert_eq!((&answer["kind"], &answer["attention"]), (&json!("destroy"), &json!(true)));
    assert_eq!(answer["lastError"]["code"], "provider_unavailable");
    let shown = stage.gastown(&["operations", "--attention"]).await.out;
    assert!(shown.contains("! failed many times") && shown.contains("provider_unavailable"), "{shown}");
    let errors = stage.replicas[0].log.take_errors();
    assert!(errors.len() == 1 && errors[0].contains("needs attention"), "{errors:?}");

    stage.sim.clear_faults();
    let due: chrono::DateTime<chrono::Utc> = answer["nextAttemptAt"].as_str().unwrap().parse().unwrap();
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

async fn operator_destroys_a_users_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for state in ["running", "stopped"] {
        let town = stage.running("mill").await;
        if state == "stopped" {
            stage.on_town("stopTown", town.id).await.unwrap();
        }
        let id = town.id.to_string();
        let ended = stage.gastown(&["town", "destroy", &id, "--yes", "--wait", "20"]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        assert!(ended.out.ends_with(&format!("Town {id} is destroyed.\n")), "{}", ended.out);
        let row = stage.rows.town(town.id).await;
        assert_eq!((row.status.as_str(), row.fly_machine_id, row.fly_volume_id), ("destroyed", None, None), "{state}");
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
        let event = stage.rows.events().await.into_iter().find(|event| event.actor == "operator:olga").unwrap();
        assert_eq!(event.action, "destroy");
        // A repeat has the same result.
        let again = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
        assert_eq!(again, json!({"townId": id, "status": "destroyed", "gone": true, "operation": null}));
    }
    stage
}

async fn destroy_preempts_the_operation_in_flight(mut setup: Setup) -> Stage {
    setup.policy.timeouts.lease = Duration::from_millis(1500);
    setup.policy.backoff.poll_interval = Duration::from_millis(50);
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("it is in flight", async || !stage.rows.operations().await.is_empty()).await;
    let id = stage.rows.towns().await[0].id.to_string();
    let answer = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
    assert_eq!((&answer["gone"], &answer["operation"]["kind"]), (&json!(false), &json!("destroy")), "{answer}");
    let refused = create.await.unwrap().unwrap_err();
    assert_eq!(refused.message, "The town could not be created: the town was destroyed during the operation");
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn destroy_wait_that_times_out_reports_the_progress(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(Call::DeleteMachine, Effect::throttled()).always());
    let ended = stage.gastown(&["town", "destroy", &town.id.to_string(), "--yes", "--wait", "1"]).await;
    assert_eq!(ended.status.code(), Some(5), "{}", ended.out);
    assert!(
        ended.err.contains("is not destroyed after 1 s") && ended.err.contains("the operation continues"),
        "{}",
        ended.err
    );
    assert!(ended.out.contains("destroy: "), "{}", ended.out);
    stage.sim.clear_faults();
    stage.idle().await;
    assert_eq!(stage.rows.town(town.id).await.fly_machine_id, None);
    stage
}

async fn town_with_unreadable_rows_is_shown_and_destroyed(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    let town = stage.running("mill").await;
    let id = town.id.to_string();
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let stop = stage.spawn_call(ALICE, "stopTown", json!({ "townId": town.id }));
    until("the stop is in flight", async || {
        stage.rows.operations().await.iter().any(|operation| operation.kind == "stop")
    })
    .await;
    stage.crash().await;
    assert!(stop.await.is_err());
    stage.sim.clear_faults();
    stage.rows.execute("UPDATE gastown_operations SET progress = '\"invalid\"'").await;
    stage.rows.execute("UPDATE gastown_town_health SET failures = -1").await;

    let shown = stage.gastown(&["town", "show", &id]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", shown.err);
    for text in
        ["Town mill of alice: running", town.machine(), "gastown_operations.progress", "gastown_town_health.failures"]
    {
        assert!(shown.out.contains(text), "{text}:\n{}", shown.out);
    }
    let answer = stage.gastown_json(&["town", "show", &id]).await;
    assert_eq!((&answer["town"]["flyVolumeId"], &answer["operation"]["townId"]), (&json!(town.volume()), &json!(id)));
    assert!(answer["operation"]["unreadable"].as_str().unwrap().contains("gastown_operations.progress"), "{answer}");
    assert!(answer["health"]["unreadable"].as_str().unwrap().contains("gastown_town_health.failures"), "{answer}");
    for arguments in [&["operations"][..], &["operations", "--attention"]] {
        let listed = stage.gastown(arguments).await.out;
        assert!(listed.contains(&id) && listed.contains("? cannot be read"), "{listed}");
    }
    let listed = stage.gastown_json(&["operations"]).await;
    assert_eq!(listed["operations"][0]["townId"], json!(id));
    let retried = stage.gastown(&["town", "retry", &id]).await;
    assert!(retried.status.code() == Some(1) && retried.err.contains("gastown_operations.progress"), "{}", retried.err);

    let destroyed = stage.gastown_json(&["town", "destroy", &id, "--yes"]).await;
    assert_eq!((&destroyed["gone"], &destroyed["operation"]["kind"]), (&json!(false), &json!("destroy")));
    assert!(stage.rows.events().await.iter().any(|event| event.action == "stop" && event.outcome == "preempted"));
    stage.add_replica().await;
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn destroy_requires_confirmation(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let before = stage.rows.everything().await;
    let ended = stage.gastown(&["town", "destroy", &town.id.to_string()]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("add --yes"), "{}", ended.err);
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn retry_without_an_operation_is_an_error(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let before = stage.rows.everything().await;
    let ended = stage.gastown(&["town", "retry", &town.id.to_string()]).await;
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("has no operation in flight"), "{}", ended.err);
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn unknown_town_is_an_error(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for action in ["show", "retry", "destroy"] {
        let arguments = ["town", action, UNKNOWN, "--json", "--yes"];
        let arguments = &arguments[..if action == "destroy" { 5 } else { 4 }];
        let ended = stage.gastown(arguments).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(4), ""), "{action}");
        assert!(ended.err.contains(&format!("no such town: {UNKNOWN}")), "{}", ended.err);
        for wrong in ["mill", "148ed21a031189", "town-0190", &UNKNOWN[1..]] {
            let ended = stage.gastown(&["town", action, wrong]).await;
            assert_eq!(ended.status.code(), Some(2), "{action} {wrong}");
            assert!(ended.err.contains("must be the id of a town, such as "), "{}", ended.err);
        }
    }
    stage
}

#[tokio::test]
async fn missing_or_unmigrated_database_is_an_error() {
    for arguments in [&["operations"][..], &["town", "show", UNKNOWN]] {
        let ended = Gastown::run(arguments, &[]).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("DATABASE_URL is missing"), "{}", ended.err);
        let empty = crate::serve::empty(crate::stage::Engine::Postgres).await;
        let ended = Gastown::run(arguments, &[("DATABASE_URL".to_owned(), empty.url().to_owned())]).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.err.contains("run `gastown migrate up`"), "{}", ended.err);
    }
}
