//! One app per user: created when needed, with a private network of its own.

use fly_sim::{Call, Effect, Fault};
use gastown_domain::AppPlacement;
use serde_json::json;

use crate::stage::{ALICE, BOB, Setup, Stage, id_of};

on_both! {
    every_user_has_one_app_for_all_towns,
    app_is_created_once_after_a_lost_answer,
    unreachable_app_is_reported_and_leaves_nothing,
}

fn app_of(user: &str) -> String {
    let placement = AppPlacement::PerUser { organization: "personal".to_owned(), prefix: "gt".parse().unwrap() };
    placement.app_of(&user.parse().unwrap()).unwrap().to_string()
}

fn per_user(setup: Setup) -> Setup {
    Setup { app_per_user: true, ..setup }
}

async fn every_user_has_one_app_for_all_towns(setup: Setup) -> Stage {
    let stage = per_user(setup).start().await;
    for (user, name) in [(ALICE, "mill"), (ALICE, "inn"), (BOB, "mill")] {
        let made = stage.call(user, "createTown", json!({ "townName": name })).await.unwrap();
        let row = stage.rows.town(id_of(&made)).await;
        let machines = stage.sim.machines();
        let machine = machines.iter().find(|machine| machine.id == row.machine()).unwrap();
        assert_eq!((machine.app.clone(), machine.serving), (app_of(user), true));
    }
    let made = stage.sim.calls().iter().filter(|record| record.call == Call::CreateApp).count();
    assert_eq!(made, 2);
    for procedure in ["stopTown", "startTown", "destroyTown"] {
        let town = stage.rows.towns().await[0].id;
        stage.on_town(procedure, town).await.unwrap();
    }
    stage
}

async fn app_is_created_once_after_a_lost_answer(setup: Setup) -> Stage {
    let stage = per_user(setup).start().await;
    stage.sim.inject(Fault::at(Call::CreateApp, Effect::DropAnswer));
    let towns = ["mill", "inn"].map(|name| stage.spawn_call(ALICE, "createTown", json!({ "townName": name })));
    for town in towns {
        assert_eq!(town.await.unwrap().unwrap()["status"], "running");
    }
    assert!(stage.sim.machines().iter().all(|machine| machine.app == app_of(ALICE)));
    stage
}

async fn unreachable_app_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = per_user(setup).start().await;
    stage.sim.inject(Fault::at(Call::GetApp, Effect::refusal(403, "forbidden")).always());
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["failure"]), ("BAD_GATEWAY", &json!("provider_misconfigured")));
    // Nothing was created, so the tombstone is final, whatever Fly answers.
    assert_eq!(stage.call(ALICE, "listTowns", json!(null)).await.unwrap(), json!([]));
    assert_eq!(stage.rows.operations().await, []);
    stage.replicas[0].log.take_only("provider refuses the service until an operator acts");
    stage
}
