//! Acceptances whose answer got lost on its way from the registry: they may have been written down or not (FM-46).

use gastown_domain::ports::{Action, AddRig, StoreError, TownError, Towns as _};
use gastown_domain::{Branch, RigStatus, TownId, TownStatus};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault, Query};

fn engine(town: TownId) -> AddRig {
    AddRig {
        town,
        name: "engine".parse().unwrap(),
        repo: "https://github.com/acme/engine".parse().unwrap(),
        branch: Branch::main(),
        config: serde_json::Map::new(),
    }
}

fn is_unavailable<T>(answer: &Result<T, TownError>) -> bool {
    matches!(answer, Err(TownError::Store(StoreError::Unavailable { .. })))
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_written_down_goes_on_though_the_answer_got_lost() {
    let bench = Bench::new();
    bench.store.schedule().next(Call::Store(Query::AcceptCreate), 1, Fault::ReplyLost);

    let town = bench.create("mill").await.unwrap();

    assert_eq!((town.status, bench.only_town()), (TownStatus::Running, town.id));
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
    bench.assert_invariants_and_history("created");
}

#[tokio::test(start_paused = true)]
async fn a_stop_start_and_destroy_that_were_written_down_go_on_though_the_answer_got_lost() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    let lose_the_answer = || bench.store.schedule().next(Call::Store(Query::Request), 1, Fault::ReplyLost);

    lose_the_answer();
    assert_eq!(towns.stop_town(&alice(), town).await.unwrap().status, TownStatus::Stopped);
    lose_the_answer();
    assert_eq!(towns.start_town(&alice(), town).await.unwrap().status, TownStatus::Running);
    lose_the_answer();
    assert_eq!(towns.destroy_town(&alice(), town).await.unwrap().status, TownStatus::Destroyed);
    bench.assert_invariants_and_history("destroyed");
}

#[tokio::test(start_paused = true)]
async fn a_rig_that_was_written_down_is_added_though_the_answer_got_lost() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.store.schedule().next(Call::Store(Query::InsertRig), 1, Fault::ReplyLost);

    let rig = bench.replica().towns.add_rig(&alice(), engine(town)).await.unwrap();

    assert_eq!(rig.status, RigStatus::Active);
    bench.assert_invariants_and_history("added");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_down_is_not_said_to_be_accepted() {
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
    bench.assert_invariants_and_history("as before");
}

/// Somebody else's operation on the town is none of ours.
#[tokio::test(start_paused = true)]
async fn an_operation_of_another_request_is_not_taken_for_ones_own() {
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
async fn where_the_registry_stays_away_the_caller_is_told_and_the_workers_go_on() {
    let bench = Bench::new();
    bench.store.schedule().next(Call::Store(Query::AcceptCreate), 1, Fault::ReplyLost);
    bench.store.schedule().next(Call::Store(Query::LoadTown), 1, Fault::NotSent);

    assert!(is_unavailable(&bench.create("mill").await));

    bench.recover().await;
    assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running);
    bench.assert_invariants_and_history("brought up by the workers");
}
