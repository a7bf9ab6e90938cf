//! Several callers at once, on one replica and on two.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::Refusal;
use crate::stage::{ALICE, Setup, Stage, id_of, until};

on_both! {
    one_of_twenty_creates_of_a_name_wins,
    concurrent_start_and_stop_both_have_an_effect,
    destroy_preempts_a_create,
    destroy_preempts_a_create_with_an_unconfirmed_machine,
    disconnected_caller_cancels_nothing,
    two_replicas_share_their_towns,
    two_replicas_never_make_two_machines,
}

/// Returns the number of successful calls, and the codes of the others.
fn tally(answers: &[Result<Value, Refusal>]) -> (usize, Vec<&str>) {
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    (answers.len() - refused.len(), refused.iter().map(|refused| refused.code.as_str()).collect())
}

/// Waits until an operation has failed with this error.
async fn delayed_by(stage: &Stage, failure: &str) {
    until("an operation is delayed", async || {
        stage.rows.operations().await.iter().any(|operation| operation.last_error.as_deref() == Some(failure))
    })
    .await;
}

async fn one_of_twenty_creates_of_a_name_wins(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let creates = (0..20).map(|_| stage.call(ALICE, "createTown", json!({ "townName": "mill" })));
    let answers = join_all(creates).await;
    assert_eq!(tally(&answers), (1, vec!["CONFLICT"; 19]));
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    assert_eq!(stage.rows.towns().await.len(), 1);
    stage
}

async fn concurrent_start_and_stop_both_have_an_effect(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for round in 0..6 {
        let procedures = if round % 2 == 0 { ["stopTown", "startTown"] } else { ["startTown", "stopTown"] };
        let answers = join_all(procedures.map(|procedure| stage.on_town(procedure, town.id))).await;
        let (won, refused) = tally(&answers);
        assert!(won >= 1 && refused.iter().all(|code| *code == "CONFLICT"), "{answers:?}");
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let named = refused.data["operation"].as_str().unwrap();
            assert!(["start", "stop"].contains(&named), "{refused:?}");
        }
        // Resources are checked at the end, the row after each step.
        stage.idle().await;
        let running = stage.rows.town(town.id).await.status == "running";
        assert_eq!(stage.sim.machines()[0].serving, running, "round {round}: {answers:?}");
    }
    stage
}

/// Returns a setup with a short lease. A pre-empting destroy waits one lease for unconfirmed creates.
fn with_a_short_lease(mut setup: Setup) -> Setup {
    setup.policy.timeouts.lease = Duration::from_millis(1500);
    setup.policy.backoff.poll_interval = Duration::from_millis(50);
    setup
}

async fn destroy_preempts_a_create(setup: Setup) -> Stage {
    let setup = with_a_short_lease(setup);
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    delayed_by(&stage, "throttled").await;
    let town = stage.rows.towns().await[0].id;
    let destroyed = stage.on_town("destroyTown", town).await.unwrap();
    assert_eq!(destroyed["status"], "destroyed");
    let refused = create.await.unwrap().unwrap_err();
    assert_eq!(refused.code, "CONFLICT");
    assert_eq!(refused.message, "The town could not be created: the town was destroyed during the operation");
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn destroy_preempts_a_create_with_an_unconfirmed_machine(setup: Setup) -> Stage {
    let setup = with_a_short_lease(setup);
    let stage = setup.start().await;
    // Longer than the acceptance of a destroy, and shorter than a lease.
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::Delay { millis: 800 }));
    let create = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("the machine is requested", async || {
        stage.sim.calls().iter().any(|record| record.call == Call::CreateMachine)
    })
    .await;
    let town = stage.rows.towns().await[0].id;
    assert_eq!(stage.on_town("destroyTown", town).await.unwrap()["status"], "destroyed");
    assert_eq!(create.await.unwrap().unwrap_err().code, "CONFLICT");
    stage
}

async fn disconnected_caller_cancels_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for (procedure, call, want) in [
        ("createTown", Call::CreateVolume, "running"),
        ("stopTown", Call::StopMachine, "stopped"),
        ("startTown", Call::StartMachine, "running"),
    ] {
        stage.sim.inject(Fault::at(call, Effect::throttled()).always());
        let input = match stage.rows.towns().await.first() {
            Some(town) => json!({ "townId": town.id }),
            None => json!({ "townName": "mill" }),
        };
        let caller = stage.spawn_call(ALICE, procedure, input);
        delayed_by(&stage, "throttled").await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        stage.sim.clear_faults();
        stage.idle().await;
        assert_eq!(stage.rows.towns().await[0].status, want, "{procedure}");
    }
    stage
}

async fn two_replicas_share_their_towns(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.add_replica().await;
    let made = stage.call_at(0, ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap();
    let input = json!({ "townId": id_of(&made) });
    for (replica, procedure, want) in
        [(1, "stopTown", "stopped"), (0, "startTown", "running"), (1, "destroyTown", "destroyed")]
    {
        let answer = stage.call_at(replica, ALICE, procedure, input.clone()).await.unwrap();
        assert_eq!(answer["status"], want, "{procedure} at {replica}");
    }
    stage.idle().await;
    assert_eq!(stage.call_at(0, ALICE, "getTownStatus", input).await.unwrap_err().code, "NOT_FOUND");
    stage
}

async fn two_replicas_never_make_two_machines(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.add_replica().await;
    let creates = (0..12).map(|n| stage.call_at(n % 2, ALICE, "createTown", json!({ "townName": "mill" })));
    assert_eq!(tally(&join_all(creates).await), (1, vec!["CONFLICT"; 11]));
    let town = json!({ "townId": stage.rows.towns().await[0].id });
    for _ in 0..3 {
        let procedures = ["stopTown", "startTown", "stopTown", "startTown"];
        let calls =
            procedures.iter().enumerate().map(|(n, procedure)| stage.call_at(n % 2, ALICE, procedure, town.clone()));
        let answers = join_all(calls).await;
        let (won, refused) = tally(&answers);
        assert!(won >= 1 && refused.iter().all(|code| *code == "CONFLICT"), "{answers:?}");
        stage.idle().await;
    }
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}
