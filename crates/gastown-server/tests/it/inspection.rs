//! External changes: detected, recorded, reported to the owner, and repaired by the owner's next start or stop.

use fly_sim::{Call, Death, Effect, Fault, State};
use reqwest::Method;
use serde_json::{Value, json};

use crate::losses::watched;
use crate::rows::Town;
use crate::stage::{ALICE, DATA, Setup, Stage, until};

on_both! {
    externally_stopped_machine_is_reported,
    externally_started_machine_is_reported,
    missing_machine_is_reported_and_recreated_on_its_volume,
    moved_volume_is_reported_and_adopted,
    lost_volume_is_reported_and_never_replaced,
    lost_town_is_restored_by_its_owner,
    unclear_observations_change_nothing,
    many_absences_at_once_raise_an_alarm_and_change_nothing,
    replicas_share_drift_detection,
}

/// Returns the drift that the owner sees.
async fn drift(stage: &Stage, town: &Town) -> Value {
    stage.on_town("getTownStatus", town.id).await.unwrap()["health"]["drift"]["code"].clone()
}

async fn is_reported(stage: &Stage, town: &Town, code: &str) {
    until(code, async || drift(stage, town).await == code).await;
}

/// Waits until the town was observed this many times.
async fn observed(stage: &Stage, town: &Town, times: usize) {
    let mut last = Value::Null;
    for _ in 0..times {
        until("it is observed", async || {
            let status = stage.on_town("getTownStatus", town.id).await.unwrap();
            let checked = status["health"]["checkedAt"].clone();
            let is_news = checked != last && !checked.is_null();
            last = checked;
            is_news
        })
        .await;
    }
}

async fn externally_stopped_machine_is_reported(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    assert!(stage.sim.kill_machine(town.machine(), Death::Stopped));
    is_reported(&stage, &town, "machine_stopped").await;
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["status"], &status["health"]["degraded"]), (&json!("stopped"), &json!(false)));
    let message = status["health"]["drift"]["message"].as_str().unwrap();
    assert!(message.contains("start the town"), "{message}");
    // It is not started again automatically.
    assert_eq!(stage.sim.machines()[0].state, State::Stopped);
    assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
    assert_eq!(drift(&stage, &town).await, Value::Null);
    let events = stage.rows.events().await;
    let recorded: Vec<_> = events.iter().filter(|event| event.action == "drift").collect();
    assert_eq!((recorded.len(), recorded[0].outcome.as_str()), (1, "machine_stopped"));
    stage
}

async fn externally_started_machine_is_reported(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.at_fly(Method::POST, &format!("machines/{}/start", town.machine()), json!({})).await;
    is_reported(&stage, &town, "machine_started").await;
    assert_eq!(stage.rows.town(town.id).await.status, "running");
    stage
}

async fn missing_machine_is_reported_and_recreated_on_its_volume(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    for death in [Death::Destroyed, Death::Forgotten] {
        let before = stage.rows.town(town.id).await;
        assert!(stage.sim.kill_machine(before.machine(), death));
        is_reported(&stage, &town, "machine_missing").await;
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

async fn moved_volume_is_reported_and_adopted(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    let moved = stage.sim.migrate_volume(town.volume()).unwrap();
    until("the row has the new id", async || stage.rows.town(town.id).await.volume() == moved).await;
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.status.as_str(), row.machine()), ("running", town.machine()));
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!(stage.exec(town.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    stage
}

async fn lost_volume_is_reported_and_never_replaced(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    assert!(stage.sim.lose_volume(town.volume()));
    is_reported(&stage, &town, "volume_lost").await;
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["health"]["degraded"], &status["status"]), (&json!(true), &json!("stopped")));
    assert_eq!(status["flyVolumeId"], town.volume());
    let refused = stage.on_town("startTown", town.id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["failure"]), ("BAD_GATEWAY", &json!("volume_lost")));
    stage.idle().await;
    assert_eq!(stage.sim.volumes(), []);
    observed(&stage, &town, 4).await;
    assert_eq!(drift(&stage, &town).await, "volume_lost");
    // An operator must act, so an error is logged once.
    let errors = stage.replicas[0].log.take_errors();
    assert_eq!(errors.iter().filter(|line| line.contains("volume lost")).count(), 1, "{errors:?}");
    stage.on_town("destroyTown", town.id).await.unwrap();
    stage
}

async fn lost_town_is_restored_by_its_owner(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    stage.on_town("stopTown", town.id).await.unwrap();
    let saved_at = stage.on_town("getTownStatus", town.id).await.unwrap()["lastR2SyncAt"].clone();
    assert!(stage.sim.lose_volume(town.volume()));
    is_reported(&stage, &town, "volume_lost").await;
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["restoreAvailable"], &status["restoresDataOf"]), (&json!(true), &saved_at));

    let confirmed = json!({ "townId": town.id, "confirm": "mill" });
    let restored = stage.call(ALICE, "restoreTown", confirmed).await.unwrap();

    assert_eq!((&restored["savedAt"], &restored["town"]["status"]), (&saved_at, &json!("running")));
    let row = stage.rows.town(town.id).await;
    assert!(row.volume() != town.volume() && row.machine() != town.machine(), "{row:?}");
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["restoreAvailable"], &status["health"]["drift"]), (&json!(false), &json!(null)));
    assert_eq!(status["rigs"][0]["rigId"], rig["rigId"]);
    let history = stage.on_town("listEvents", town.id).await.unwrap();
    let end = history["events"].as_array().unwrap().iter().find(|event| event["action"] == "restore").unwrap();
    assert_eq!((&end["outcome"], &end["cause"]["code"]), (&json!("done"), &json!("saved_at")));
    stage.replicas[0].log.take_errors();
    stage
}

async fn unclear_observations_change_nothing(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    let row = stage.rows.town(town.id).await;
    let compared_at = async || {
        let shown = stage.gastown_json(&["town", "show", "alice/mill"]).await;
        shown["health"]["comparedAt"].as_str().map(ToOwned::to_owned)
    };
    until("it is compared", async || compared_at().await.is_some()).await;
    let unchanged = async |what: &str| {
        // A look that had begun may still show the town.
        observed(&stage, &town, 2).await;
        let before = compared_at().await;
        observed(&stage, &town, 5).await;
        assert_eq!(compared_at().await, before, "{what}");
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
    // The first two are errors of the configuration, so they are logged.
    stage.replicas[0].log.take_only("provider rejects the token, organization or app");
    // Absent by its id, but its name is in the list.
    stage.sim.inject(Fault::at(Call::GetMachine, Effect::refusal(404, "machine not found")).always());
    stage.sim.inject(Fault::at(Call::ListMachines, Effect::server_error()).always());
    unchanged("a list that fails").await;
    stage.sim.clear_faults();
    assert!(stage.sim.set_host_down(town.machine(), true));
    unchanged("a host that is down").await;
    stage.sim.set_host_down(town.machine(), false);
    until("the machine serves again", async || stage.sim.machines()[0].serving).await;
    let before = compared_at().await;
    until("it is compared again", async || compared_at().await > before).await;
    stage
}

async fn many_absences_at_once_raise_an_alarm_and_change_nothing(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
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
    until("the alarm is raised", async || alarm(&passes().await) == "many_absent").await;
    let shown = stage.gastown(&["operations"]).await.out;
    assert!(shown.contains("many_absent") && shown.contains("check the app"), "{shown}");
    for town in &towns {
        observed(&stage, town, 4).await;
        assert_eq!(stage.rows.town(town.id).await.fly_machine_id, town.fly_machine_id);
    }
    assert!(stage.replicas[0].log.take_errors().iter().all(|line| line.contains("nothing recorded")));
    for town in &towns {
        stage.on_town("destroyTown", town.id).await.unwrap();
    }
    until("the alarm is over", async || alarm(&passes().await) == Value::Null).await;
    stage.replicas[0].log.take_errors();
    stage
}

async fn replicas_share_drift_detection(setup: Setup) -> Stage {
    let mut stage = watched(setup).start().await;
    stage.add_replica().await;
    let towns = [stage.running("mill").await, stage.running("inn").await];
    assert!(stage.sim.kill_machine(towns[0].machine(), Death::Stopped));
    is_reported(&stage, &towns[0], "machine_stopped").await;
    observed(&stage, &towns[1], 5).await;
    assert_eq!(drift(&stage, &towns[1]).await, Value::Null);
    let recorded = stage.rows.events().await.into_iter().filter(|event| event.action == "drift").count();
    assert_eq!(recorded, 1);
    stage
}
