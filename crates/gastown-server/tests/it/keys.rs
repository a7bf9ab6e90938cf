//! `createTown` with an idempotency key: a repeat returns the same town, in every later state.

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use serde_json::json;

use crate::stage::{ALICE, BOB, Setup, Stage, id_of, until};

on_both! {
    repeated_key_creates_one_town,
    key_belongs_to_one_request,
    repeated_key_returns_the_same_failure,
    key_survives_a_crash,
    key_survives_its_town,
}

async fn repeated_key_creates_one_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let input = json!({"townName": "mill", "idempotencyKey": "once"});
    let answers = join_all((0..8).map(|_| stage.call(ALICE, "createTown", input.clone()))).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| id_of(&answer.unwrap())).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let later = stage.call(ALICE, "createTown", input).await.unwrap();
    assert_eq!((id_of(&later), &later["status"]), (ids[0], &json!("running")));
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn key_belongs_to_one_request(setup: Setup) -> Stage {
    let stage = Setup { regions: "iad,fra", ..setup }.start().await;
    let first = json!({"townName": "mill", "config": {"max_polecats": 2, "size": {"a": 1, "b": 2}}});
    let with_key = |mut input: serde_json::Value| {
        input["idempotencyKey"] = json!("once");
        input
    };
    let made = stage.call(ALICE, "createTown", with_key(first.clone())).await.unwrap();
    for other in [
        json!({"townName": "inn", "config": first["config"]}),
        json!({"townName": "mill"}),
        json!({"townName": "mill", "config": {"max_polecats": 3, "size": {"a": 1, "b": 2}}}),
        json!({"townName": "mill", "config": first["config"], "region": "fra"}),
    ] {
        let refused = stage.call(ALICE, "createTown", with_key(other.clone())).await.unwrap_err();
        assert_eq!(refused.code, "CONFLICT", "{other}");
        assert_eq!(refused.message, "The idempotency key was already used for a different request", "{other}");
    }
    // The order of members is irrelevant.
    let same = json!({"config": {"size": {"b": 2, "a": 1}, "max_polecats": 2}, "townName": "mill"});
    assert_eq!(id_of(&stage.call(ALICE, "createTown", with_key(same)).await.unwrap()), id_of(&made));
    // Keys of different users are independent.
    let bobs = stage.call(BOB, "createTown", with_key(json!({ "townName": "inn" }))).await.unwrap();
    assert_ne!(id_of(&bobs), id_of(&made));
    assert_eq!(stage.rows.towns().await.len(), 2);
    stage
}

async fn repeated_key_returns_the_same_failure(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::refusal(400, "invalid_argument: no")).always());
    let input = json!({"townName": "mill", "idempotencyKey": "once"});
    let first = stage.call(ALICE, "createTown", input.clone()).await.unwrap_err();
    stage.sim.clear_faults();
    let again = stage.call(ALICE, "createTown", input).await.unwrap_err();
    assert_eq!((again.code, again.message), (first.code, first.message));
    assert_eq!(stage.rows.towns().await.len(), 1);
    stage
}

async fn key_survives_a_crash(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    let input = json!({"townName": "mill", "idempotencyKey": "once"});
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let caller = stage.spawn_call(ALICE, "createTown", input.clone());
    until("the machine is requested", async || {
        stage.sim.calls().iter().any(|record| record.call == Call::CreateMachine)
    })
    .await;
    stage.crash().await;
    stage.sim.clear_faults();
    stage.succeed().await;
    assert!(caller.await.is_err(), "the caller was answered by a dead replica");
    let made = stage.call(ALICE, "createTown", input).await.unwrap();
    assert_eq!(made["status"], "running");
    let [row] = stage.rows.towns().await.try_into().unwrap();
    assert_eq!(row.id, id_of(&made));
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn key_survives_its_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let input = json!({"townName": "mill", "idempotencyKey": "once"});
    let made = stage.call(ALICE, "createTown", input.clone()).await.unwrap();
    stage.on_town("destroyTown", id_of(&made)).await.unwrap();
    let again = stage.call(ALICE, "createTown", input).await.unwrap();
    assert_eq!((id_of(&again), &again["status"]), (id_of(&made), &json!("destroyed")));
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}
