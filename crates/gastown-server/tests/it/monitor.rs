//! The health monitor against misbehaving sandboxes: towns are restarted, and those that cannot be mended are left alone.

use std::time::Duration;

use fly_sim::Call;
use gastown_orchestrator::{MonitorPolicy, Policy, Timeouts};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rows::Town;
use crate::stage::{ALICE, DATA, Setup, Stage, until};

on_both! {
    wedged_town_is_noticed_restarted_and_comes_back,
    town_that_cannot_be_mended_becomes_error_after_three_restarts,
    lost_daemon_and_wrong_town_are_told_apart,
    restart_never_races_the_stop_or_destroy_of_the_owner,
    new_process_goes_on_with_the_counts_of_the_old_one,
}

/// Checks each town several times a second, and gives a restart a second.
fn watched(setup: Setup) -> Setup {
    let Policy { monitor, timeouts, .. } = setup.policy.clone();
    let policy = Policy {
        monitor: MonitorPolicy { every: Duration::from_millis(600), ..monitor },
        timeouts: Timeouts { restart: Duration::from_secs(1), ..timeouts },
        ..setup.policy
    };
    Setup { policy, ..setup }
}

async fn misbehave(stage: &Stage, town: &Town, how: &str) {
    stage.exec(town.machine(), &format!("echo {how} > {DATA}/misbehave")).await;
}

async fn health(stage: &Stage, town: Uuid) -> Value {
    stage.on_town("getTownStatus", town).await.unwrap()["health"].clone()
}

async fn until_state(stage: &Stage, town: Uuid, wanted: &str) {
    until(wanted, async || health(stage, town).await["state"] == *wanted).await;
}

fn count(stage: &Stage, call: Call) -> usize {
    stage.sim.calls().into_iter().filter(|record| record.call == call).count()
}

/// Returns the events of a town as `actor action outcome cause`, oldest first.
async fn history(stage: &Stage, town: Uuid) -> Vec<String> {
    let page = stage.call(ALICE, "listEvents", json!({ "townId": town, "limit": 100 })).await.unwrap();
    let events = page["events"].as_array().unwrap().iter().rev();
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let line = |event: &Value| {
        let cause = event["cause"]["code"].as_str().unwrap_or_default();
        format!("{} {} {} {cause}", text(event, "actor"), text(event, "action"), text(event, "outcome"))
    };
    events.map(line).map(|line| line.trim_end().to_owned()).collect()
}

/// Returns the number of restarts that the monitor has requested.
async fn restarts(stage: &Stage, town: Uuid) -> usize {
    history(stage, town).await.into_iter().filter(|line| line == "monitor restart accepted").count()
}

async fn wedged_town_is_noticed_restarted_and_comes_back(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let (town, other) = (stage.running("mill").await, stage.running("barn").await);
    until_state(&stage, town.id, "healthy").await;
    misbehave(&stage, &town, "wedged until restart").await;
    until("restarted", async || restarts(&stage, town.id).await == 1).await;
    until("booted", async || count(&stage, Call::StartMachine) > 0).await;
    until_state(&stage, town.id, "healthy").await;

    let shown = health(&stage, town.id).await;
    assert_eq!((&shown["failures"], &shown["restarts"], &shown["reason"]), (&json!(0), &json!(1), &json!(null)));
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.machine(), row.volume(), row.status.as_str()), (town.machine(), town.volume(), "running"));
    let told = history(&stage, town.id).await;
    let expected = [
        "monitor health observed unhealthy",
        "monitor restart accepted",
        "monitor restart done",
        "monitor health observed healthy",
    ];
    assert_eq!(told[told.len() - 4..], expected, "{told:?}");
    assert_eq!(health(&stage, other.id).await["failures"], 0, "the other town is left alone");
    stage
}

async fn town_that_cannot_be_mended_becomes_error_after_three_restarts(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    misbehave(&stage, &town, "disk_full").await;
    until_state(&stage, town.id, "error").await;
    let shown = health(&stage, town.id).await;
    assert_eq!((&shown["reason"]["code"], &shown["restarts"]), (&json!("disk_full"), &json!(3)));
    let failures = shown["failures"].as_u64().unwrap();
    until("more failed checks", async || health(&stage, town.id).await["failures"].as_u64() > Some(failures + 2)).await;
    assert_eq!(restarts(&stage, town.id).await, 3, "no more restarts");
    assert!(count(&stage, Call::StopMachine) >= 3);

    misbehave(&stage, &town, "no more").await;
    until_state(&stage, town.id, "healthy").await;
    let told = history(&stage, town.id).await;
    let states: Vec<_> = told.iter().filter(|line| line.contains(" health ")).collect();
    let expected = ["unhealthy", "error", "healthy"].map(|state| format!("monitor health observed {state}"));
    assert_eq!(states, expected.iter().collect::<Vec<_>>(), "{told:?}");
    let errors = stage.replicas[0].log.take_errors();
    assert!(errors.len() == 1 && errors[0].contains("town not mended by restarts"), "{errors:?}");
    stage
}

async fn lost_daemon_and_wrong_town_are_told_apart(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    for (how, code) in [("daemon_down", "daemon_down"), ("dolt_down", "dolt_down"), ("wrong_town", "wrong_answer")] {
        misbehave(&stage, &town, how).await;
        until(how, async || health(&stage, town.id).await["reason"]["code"] == *code).await;
        misbehave(&stage, &town, "no more").await;
        until("well again", async || health(&stage, town.id).await["failures"] == 0).await;
    }
    stage.idle().await;
    stage
}

async fn restart_never_races_the_stop_or_destroy_of_the_owner(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    for (name, procedure, status) in [("mill", "stopTown", "stopped"), ("barn", "destroyTown", "destroyed")] {
        let town = stage.running(name).await;
        misbehave(&stage, &town, "wedged").await;
        until("a restart is requested", async || {
            history(&stage, town.id).await.iter().any(|line| line == "monitor restart accepted")
        })
        .await;
        stage.on_town(procedure, town.id).await.unwrap();
        stage.idle().await;
        assert_eq!(stage.rows.town(town.id).await.status, status);
        let started = count(&stage, Call::StartMachine);
        if procedure == "stopTown" {
            // The other town's checks show that passes went on.
            let live = stage.running("forge").await;
            until_state(&stage, live.id, "healthy").await;
            assert_eq!(health(&stage, town.id).await["state"], "unknown");
        }
        assert_eq!(
            (stage.rows.town(town.id).await.status.as_str(), count(&stage, Call::StartMachine)),
            (status, started)
        );
    }
    stage
}

async fn new_process_goes_on_with_the_counts_of_the_old_one(setup: Setup) -> Stage {
    let mut stage = watched(Setup { keeps_port: true, ..setup }).start().await;
    let town = stage.running("mill").await;
    misbehave(&stage, &town, "daemon_down").await;
    until_state(&stage, town.id, "error").await;
    let before = health(&stage, town.id).await;
    stage.replace(0).await;
    let failures = before["failures"].as_u64();
    until("the next check", async || health(&stage, town.id).await["failures"].as_u64() > failures).await;
    let after = health(&stage, town.id).await;
    assert_eq!((&after["state"], &after["since"]), (&json!("error"), &before["since"]));
    assert_eq!((&after["restarts"], restarts(&stage, town.id).await), (&json!(3), 3));
    stage
}
