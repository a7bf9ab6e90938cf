//! Requests whose acceptance got no response from the registry. The registry may have committed them or not (FM-46).

use gastown_domain::ports::{Action, DestroyTown, StoreError, TownError, Towns as _, UpdateTown};
use gastown_domain::{Change, ConfigPatch, RigStatus, TownStatus};

use crate::bench::{Bench, alice, engine, request};
use crate::faults::{Call, Fault, Query};

fn is_unavailable<T>(answer: &Result<T, TownError>) -> bool {
    matches!(answer, Err(TownError::Store(StoreError::Unavailable { .. })))
}

#[tokio::test(start_paused = true)]
async fn create_continues_when_acceptance_reply_is_lost() {
    let bench = Bench::new();
    bench.store.schedule().next(Call::Store(Query::AcceptCreate), 1, Fault::ReplyLost);

    let town = bench.create("mill").await.unwrap();

    assert_eq!((town.status, bench.only_town()), (TownStatus::Running, town.id));
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
    bench.assert_invariants_and_history("created");
}

#[tokio::test(start_paused = true)]
async fn stop_start_and_destroy_continue_when_acceptance_reply_is_lost() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    let lose_the_answer = || bench.store.schedule().next(Call::Store(Query::Request), 1, Fault::ReplyLost);

    lose_the_answer();
    assert_eq!(towns.stop_town(&alice(), town).await.unwrap().town.status, TownStatus::Stopped);
    lose_the_answer();
    assert_eq!(towns.start_town(&alice(), town).await.unwrap().town.town.status, TownStatus::Running);
    lose_the_answer();
    assert_eq!(
        towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap().town.status,
        TownStatus::Destroyed
    );
    bench.assert_invariants_and_history("destroyed");
}

#[tokio::test(start_paused = true)]
async fn rig_is_added_when_acceptance_reply_is_lost() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.store.schedule().next(Call::Store(Query::InsertRig), 1, Fault::ReplyLost);

    let rig = bench.replica().towns.add_rig(&alice(), engine(town)).await.unwrap().rig;

    assert_eq!(rig.status, RigStatus::Active);
    bench.assert_invariants_and_history("added");
}

#[tokio::test(start_paused = true)]
async fn configuration_is_changed_when_the_reply_is_lost() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.store.schedule().next(Call::Store(Query::UpdateConfig), 1, Fault::ReplyLost);
    let config = ConfigPatch { max_polecats: Change::Set(4), ..ConfigPatch::default() };
    let update = UpdateTown { town: town.id, config, expected: town.config.version() };

    let updated = bench.replica().towns.update_town(&alice(), update.clone()).await.unwrap();
    assert_eq!(updated.town.config.max_polecats, Some(4));

    let late = UpdateTown { config: ConfigPatch { max_polecats: Change::Remove, ..update.config }, ..update };
    let late = bench.replica().towns.update_town(&alice(), late).await;
    assert!(matches!(late, Err(TownError::ConfigChanged)), "{late:?}");
    assert_eq!(bench.store.town(town.id), updated.town);
}

#[tokio::test(start_paused = true)]
async fn request_that_was_not_stored_is_not_reported_as_accepted() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    for query in [Query::AcceptCreate, Query::Request, Query::InsertRig] {
        bench.store.schedule().next(Call::Store(query), 1, Fault::NotSent);
    }

    assert!(is_unavailable(&towns.create_town(&alice(), request("forge")).await));
    assert!(is_unavailable(&towns.stop_town(&alice(), town).await));
    assert!(is_unavailable(&towns.add_rig(&alice(), engine(town)).await));

    assert_eq!(bench.only_town(), town);
    assert!(bench.store.rows().rigs.is_empty());
    bench.assert_invariants_and_history("unchanged");
}

/// An operation of another request is not the caller's own.
#[tokio::test(start_paused = true)]
async fn operation_of_another_request_is_not_taken_for_own() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().never_start = true;
    bench.fly.schedule().always(Call::Fly(Action::StopMachine), Fault::NotNow);
    bench.replica().towns.stop_town(&alice(), town).await.unwrap();
    bench.store.schedule().next(Call::Store(Query::Request), 1, Fault::NotSent);

    let answer = bench.replica().towns.start_town(&alice(), town).await;

    assert!(is_unavailable(&answer), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn workers_continue_create_when_registry_fails_for_the_caller() {
    let bench = Bench::new();
    bench.store.schedule().next(Call::Store(Query::AcceptCreate), 1, Fault::ReplyLost);
    bench.store.schedule().next(Call::Store(Query::Current), 1, Fault::NotSent);

    assert!(is_unavailable(&bench.create("mill").await));

    bench.recover().await;
    assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running);
    bench.assert_invariants_and_history("finished by the workers");
}
