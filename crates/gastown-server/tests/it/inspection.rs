//! What happens behind our back: noticed, told to the row and to its owner, and put right by what she does next.

use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault, State};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rows::Town;
use crate::stage::{DATA, Setup, Stage, until};

on_both! {
    a_machine_that_was_stopped_is_told,
    a_machine_that_was_started_is_told,
    a_machine_that_is_gone_is_told_and_made_anew_on_its_volume,
    a_volume_that_was_moved_is_followed,
    a_lost_volume_is_told_and_never_replaced,
    what_cannot_be_seen_clearly_changes_nothing,
    many_that_are_gone_at_once_are_believed_by_nobody,
    replicas_share_the_looks,
}

/// Settled towns are looked at again and again.
fn watched(mut setup: Setup) -> Setup {
    setup.policy.drift.every = Duration::from_millis(60);
    setup
}

/// What the owner is told of a town's drift.
async fn drift(stage: &Stage, town: &Town) -> Value {
    stage.on_town("getTownStatus", town.id).await.unwrap()["health"]["drift"]["code"].clone()
}

async fn is_told(stage: &Stage, town: &Town, code: &str) {
    until(code, async || drift(stage, town).await == code).await;
}

/// Waits until the town was looked at so often.
async fn looked_at(stage: &Stage, town: &Town, times: usize) {
    let mut last = Value::Null;
    for _ in 0..times {
        until("it is looked at", async || {
            let status = stage.on_town("getTownStatus", town.id).await.unwrap();
            let checked = status["health"]["checkedAt"].clone();
            let is_news = checked != last && !checked.is_null();
            last = checked;
            is_news
        })
        .await;
    }
}

async fn a_machine_that_was_stopped_is_told(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    assert!(stage.sim.kill_machine(town.machine(), Death::Stopped));
    is_told(&stage, &town, "machine_stopped").await;
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["status"], &status["health"]["degraded"]), (&json!("stopped"), &json!(false)));
    let message = status["health"]["drift"]["message"].as_str().unwrap();
    assert!(message.contains("start the town"), "{message}");
    // Nobody fights whoever stopped it.
    assert_eq!(stage.sim.machines()[0].state, State::Stopped);
    assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
    assert_eq!(drift(&stage, &town).await, Value::Null);
    let events = stage.rows.events().await;
    let told: Vec<_> = events.iter().filter(|event| event.action == "drift").collect();
    assert_eq!((told.len(), told[0].outcome.as_str()), (1, "machine_stopped"));
    stage
}

async fn a_machine_that_was_started_is_told(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.at_fly(Method::POST, &format!("machines/{}/start", town.machine()), json!({})).await;
    is_told(&stage, &town, "machine_started").await;
    assert_eq!(stage.rows.town(town.id).await.status, "running");
    stage
}

async fn a_machine_that_is_gone_is_told_and_made_anew_on_its_volume(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    for death in [Death::Destroyed, Death::Forgotten] {
        let before = stage.rows.town(town.id).await;
        assert!(stage.sim.kill_machine(before.machine(), death));
        is_told(&stage, &town, "machine_missing").await;
        let row = stage.rows.town(town.id).await;
        assert_eq!((row.status.as_str(), &row.fly_machine_id), ("stopped", &None), "{death:?}");
        assert_eq!(row.volume(), town.volume());
        assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
        let after = stage.rows.town(town.id).await;
        assert_ne!(after.machine(), before.machine());
        assert_eq!(stage.exec(after.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
        assert_eq!(drift(&stage, &town).await, Value::Null, "{death:?}");
    }
    stage
}

async fn a_volume_that_was_moved_is_followed(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    let moved = stage.sim.migrate_volume(town.volume()).unwrap();
    until("the row follows", async || stage.rows.town(town.id).await.volume() == moved).await;
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.status.as_str(), row.machine()), ("running", town.machine()));
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!(stage.exec(town.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    stage
}

async fn a_lost_volume_is_told_and_never_replaced(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    assert!(stage.sim.lose_volume(town.volume()));
    is_told(&stage, &town, "volume_lost").await;
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["health"]["degraded"], &status["status"]), (&json!(true), &json!("stopped")));
    assert_eq!(status["flyVolumeId"], town.volume());
    let refused = stage.on_town("startTown", town.id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["failure"]), ("BAD_GATEWAY", &json!("volume_lost")));
    stage.idle().await;
    assert_eq!(stage.sim.volumes(), []);
    looked_at(&stage, &town, 4).await;
    assert_eq!(drift(&stage, &town).await, "volume_lost");
    // Somebody has to act, and is told once.
    let errors = stage.replicas[0].log.take_errors();
    assert_eq!(errors.iter().filter(|line| line.contains("a town's volume is lost")).count(), 1, "{errors:?}");
    stage.on_town("destroyTown", town.id).await.unwrap();
    stage
}

async fn what_cannot_be_seen_clearly_changes_nothing(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let town = stage.running("mill").await;
    let row = stage.rows.town(town.id).await;
    let unchanged = async |what: &str| {
        looked_at(&stage, &town, 5).await;
        let now = stage.rows.town(town.id).await;
        assert_eq!((&now.status, &now.fly_machine_id), (&row.status, &row.fly_machine_id), "{what}");
        assert_eq!(now.fly_volume_id, row.fly_volume_id, "{what}");
        assert_eq!(drift(&stage, &town).await, Value::Null, "{what}");
    };
    for (status, text) in [(404, "app not found"), (401, "unauthorized"), (500, "internal server error"), (429, "slow")]
    {
        stage.sim.inject(Fault::at_any(Effect::refusal(status, text)).always());
        unchanged(text).await;
        stage.sim.clear_faults();
    }
    // Of the first two somebody is told, for no town can help it.
    stage.replicas[0].log.take_only("Fly refuses our token, organization or app");
    // Not there by its id, while its name is in the list.
    stage.sim.inject(Fault::at(Call::GetMachine, Effect::refusal(404, "machine not found")).always());
    stage.sim.inject(Fault::at(Call::ListMachines, Effect::server_error()).always());
    unchanged("a list that fails").await;
    stage.sim.clear_faults();
    assert!(stage.sim.set_host_down(town.machine(), true));
    unchanged("a host that is down").await;
    stage.sim.set_host_down(town.machine(), false);
    until("it serves again", async || stage.sim.machines()[0].serving).await;
    stage
}

async fn many_that_are_gone_at_once_are_believed_by_nobody(setup: Setup) -> Stage {
    let stage = watched(setup).raise().await;
    let mut towns = Vec::new();
    for at in 0..6 {
        towns.push(stage.running(&format!("mill-{at}")).await);
    }
    for town in &towns {
        assert!(stage.sim.kill_machine(town.machine(), Death::Forgotten));
    }
    let passes = async || stage.gastown_json(&["operations"]).await["passes"].clone();
    let alarm = |passes: &Value| {
        let inspection = passes.as_array().unwrap().iter().find(|pass| pass["pass"] == "inspection");
        inspection.map_or(Value::Null, |pass| pass["alarm"].clone())
    };
    until("somebody is alarmed", async || alarm(&passes().await) == "many_absent").await;
    let shown = stage.gastown(&["operations"]).await.out;
    assert!(shown.contains("many_absent") && shown.contains("is it the right app"), "{shown}");
    for town in &towns {
        looked_at(&stage, town, 4).await;
        assert_eq!(stage.rows.town(town.id).await.fly_machine_id, town.fly_machine_id);
    }
    assert!(stage.replicas[0].log.take_errors().iter().all(|line| line.contains("none of it is believed")));
    for town in &towns {
        stage.on_town("destroyTown", town.id).await.unwrap();
    }
    until("the alarm is over", async || alarm(&passes().await) == Value::Null).await;
    stage.replicas[0].log.take_errors();
    stage
}

async fn replicas_share_the_looks(setup: Setup) -> Stage {
    let mut stage = watched(setup).raise().await;
    stage.add_replica().await;
    let towns = [stage.running("mill").await, stage.running("inn").await];
    assert!(stage.sim.kill_machine(towns[0].machine(), Death::Stopped));
    is_told(&stage, &towns[0], "machine_stopped").await;
    looked_at(&stage, &towns[1], 5).await;
    assert_eq!(drift(&stage, &towns[1]).await, Value::Null);
    let told = stage.rows.events().await.into_iter().filter(|event| event.action == "drift").count();
    assert_eq!(told, 1);
    stage
}
