//! Events that are counted: ends of operations, steps, lost claims.

use std::time::Duration;

use gastown_domain::ports::{
    Action, DestroyTown, HomeCalls as _, Measurement, OperationOutcome, StepResult, Towns as _,
};
use gastown_domain::{OperationKind, SandboxReport, StepName};
use tokio::time::sleep;

use crate::bench::{Bench, alice, request};
use crate::env::key_of;
use crate::faults::{Call, Fault, Query};

/// Returns the ends of operations that were counted since the last call.
fn ends(bench: &Bench) -> Vec<(OperationKind, OperationOutcome)> {
    let ended = |measurement| match measurement {
        Measurement::OperationEnded { kind, outcome, .. } => Some((kind, outcome)),
        _ => None,
    };
    bench.metrics.take().into_iter().filter_map(ended).collect()
}

#[tokio::test(start_paused = true)]
async fn each_operation_is_counted_once_with_its_outcome() {
    let bench = Bench::new();
    let (towns, alice) = (bench.replica().towns, alice());
    let town = towns.create_town(&alice, request("mill")).await.unwrap().town.id;
    assert_eq!(ends(&bench), [(OperationKind::Create, OperationOutcome::Succeeded)]);
    towns.stop_town(&alice, town).await.unwrap();
    assert_eq!(ends(&bench), [(OperationKind::Stop, OperationOutcome::Succeeded)]);
    towns.start_town(&alice, town).await.unwrap();
    assert_eq!(ends(&bench), [(OperationKind::Start, OperationOutcome::Succeeded)]);
    towns.destroy_town(&alice, DestroyTown::until_gone(town)).await.unwrap();
    assert_eq!(ends(&bench), [(OperationKind::Destroy, OperationOutcome::Succeeded)]);
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::Refused);
    towns.create_town(&alice, request("forge")).await.unwrap_err();
    assert_eq!(ends(&bench), [(OperationKind::RollBack, OperationOutcome::RolledBack)]);
}

#[tokio::test(start_paused = true)]
async fn preempted_operation_is_counted_and_its_driver_has_lost_its_claim() {
    let bench = Bench::new();
    let (towns, alice) = (bench.replica().towns, alice());
    let destroy = async {
        sleep(Duration::from_secs(1)).await;
        towns.destroy_town(&alice, DestroyTown::until_gone(bench.only_town())).await.unwrap();
    };
    let (created, ()) = tokio::join!(towns.create_town(&alice, request("mill")), destroy);
    created.unwrap_err();
    bench.recover().await;
    let counted = bench.metrics.take();
    let lost = Measurement::ClaimLost { kind: OperationKind::Create };
    assert_eq!(counted.iter().filter(|counted| **counted == lost).count(), 1, "{counted:?}");
    let is_preempted = |counted: &&Measurement| {
        matches!(counted, Measurement::OperationEnded { outcome: OperationOutcome::Preempted, .. })
    };
    assert_eq!(counted.iter().filter(is_preempted).count(), 1, "{counted:?}");
}

#[tokio::test(start_paused = true)]
async fn operation_of_a_dead_process_is_counted_by_the_one_that_ends_it() {
    let bench = Bench::new();
    let (crashing, alice) = (bench.replica(), alice());
    bench.store.schedule().next(Call::Store(Query::Record), 1, Fault::CrashBefore);
    assert!(crashing.unless_crashed(crashing.towns.create_town(&alice, request("mill"))).await.is_none());
    assert_eq!(ends(&bench), []);
    bench.recover().await;
    assert_eq!(ends(&bench), [(OperationKind::Create, OperationOutcome::Succeeded)]);
}

#[tokio::test(start_paused = true)]
async fn steps_are_counted_with_their_result_and_time() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::NoCapacity);
    bench.create("mill").await.unwrap();
    let counted = bench.metrics.take();
    let results = |wanted: StepName| -> Vec<_> {
        let of_step = |counted: &Measurement| match counted {
            Measurement::StepExecuted { step, result, .. } if *step == wanted => Some(*result),
            _ => None,
        };
        counted.iter().filter_map(of_step).collect()
    };
    assert_eq!(results(StepName::CreateVolume), [StepResult::Failed, StepResult::Done]);
    assert_eq!(results(StepName::CreateMachine), [StepResult::Done]);
    let prepared = results(StepName::PrepareSandbox);
    assert_eq!(prepared.last(), Some(&StepResult::Done));
}

#[tokio::test(start_paused = true)]
async fn only_accepted_heartbeats_are_counted() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    bench.metrics.take();
    for _ in 0..2 {
        towns.heartbeat(town, key_of(town).into(), SandboxReport::default(), None).await.unwrap();
    }
    towns.heartbeat(town, String::new().into(), SandboxReport::default(), None).await.unwrap_err();
    assert_eq!(bench.metrics.take(), [Measurement::HeartbeatAccepted; 2]);
    towns.close_heartbeats().await;
    let written = [Measurement::HeartbeatsWritten(1), Measurement::HeartbeatsWaiting(0)];
    assert_eq!(bench.metrics.take(), written, "both are of one town");
}
