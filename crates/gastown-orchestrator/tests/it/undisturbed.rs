//! The calls of operations that nothing disturbs: to the provider, to the sandbox and to the registry.

use gastown_domain::TownStatus;
use gastown_domain::ports::{Action, DestroyTown, TownPage, Towns as _};
use tokio::time::Instant;

use crate::bench::{Bench, alice, request};
use crate::calls::{Call, Query};
use crate::world::RELEASE;

/// Takes the calls since the last time. Calls that follow an equal one are left out, because polls repeat.
fn taken(bench: &Bench) -> (Vec<Call>, Vec<Query>) {
    let mut calls = std::mem::take(&mut bench.fly.schedule().journal);
    calls.dedup();
    let journal = std::mem::take(&mut bench.store.schedule().journal);
    let query = |call: Call| match call {
        Call::Store(query) => Some(query),
        _ => None,
    };
    // A caller that waits reads the outcome once a second.
    (calls, journal.into_iter().filter_map(query).filter(|query| *query != Query::Outcome).collect())
}

#[tokio::test(start_paused = true)]
async fn undisturbed_operations_look_at_nothing_and_write_once_per_fact() {
    use Action::{
        AwaitMachine, CreateMachine, CreateVolume, DeleteMachine, ReadMachine, StartMachine, StopMachine, UpdateMachine,
    };
    use Query::{AcceptCreate, CallersTown, DecidingRollout, Finish, ListRigs, Record, Request, User};
    let bench = Bench::new();
    let towns = bench.replica().towns;
    // The first create makes sure of the app.
    towns.create_town(&alice(), request("forge")).await.unwrap();
    taken(&bench);

    let town = towns.create_town(&alice(), request("mill")).await.unwrap().town.id;
    let (calls, queries) = taken(&bench);
    assert_eq!(calls, [Call::Fly(CreateVolume), Call::Fly(CreateMachine), Call::Fly(AwaitMachine), Call::Health]);
    // The first read tells if the owner is blocked. The machine's image depends on the rollouts. The last record is that of the poll of the sandbox, which boots for two seconds.
    assert_eq!(queries, [User, AcceptCreate, User, DecidingRollout, Record, Record, Record, ListRigs, Finish]);

    towns.stop_town(&alice(), town).await.unwrap();
    let (calls, queries) = taken(&bench);
    assert_eq!(calls, [Call::Sync, Call::Fly(StopMachine), Call::Fly(AwaitMachine)]);
    assert_eq!(queries, [CallersTown, Request, Record, Finish]);

    towns.start_town(&alice(), town).await.unwrap();
    let (calls, queries) = taken(&bench);
    let start = [UpdateMachine, StartMachine, AwaitMachine].map(Call::Fly);
    assert_eq!(calls, [&start[..], &[Call::Health]].concat());
    assert_eq!(queries, [CallersTown, Request, User, DecidingRollout, Record, Record, ListRigs, Finish]);

    towns.destroy_town(&alice(), DestroyTown::of(town)).await.unwrap();
    let (calls, queries) = taken(&bench);
    // It goes on in the background.
    assert_eq!(calls[..3], [Call::Fly(ReadMachine), Call::Sync, Call::Fly(DeleteMachine)]);
    assert_eq!(queries[..3], [CallersTown, Request, Record]);
}

#[tokio::test(start_paused = true)]
async fn a_destroy_returns_once_the_removal_is_certain() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let (replica, began) = (bench.replica(), Instant::now());

    let gone = replica.towns.destroy_town(&alice(), DestroyTown::of(town)).await.unwrap();

    assert!(began.elapsed() < RELEASE, "the volume is attached for longer");
    assert_eq!(gone.town.status, TownStatus::Destroyed);
    assert_eq!(bench.fly.world().volumes_of(town).len(), 1, "it is deleted in the background");
    assert_eq!(replica.towns.list_towns(&alice(), TownPage::default()).await.unwrap(), []);
    let report = replica.towns.town_status(&alice(), town).await.unwrap();
    assert_eq!(report.town.status, TownStatus::Destroyed);
    assert!(report.operation.is_some(), "its owner sees the removal");
    let other = "bob".parse::<gastown_domain::UserId>().unwrap().into();
    assert!(replica.towns.town_status(&other, town).await.is_err(), "no other user sees it");

    replica.towns.drained().await;
    bench.recover().await;
    bench.assert_nothing_left(town);
    assert!(replica.towns.town_status(&alice(), town).await.is_err(), "nothing is left to see");
}

/// The provider has moved the volume, and the drift checks have not seen it yet. The old id is still accepted for deletion.
#[tokio::test(start_paused = true)]
async fn a_destroy_deletes_the_volume_that_the_machine_mounts() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    assert!(bench.fly.world().move_volume(town));
    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    bench.recover().await;
    bench.assert_nothing_left(town);
}
