//! Authorization of callers: a trusted user, or the pepper of a token.

use std::sync::Arc;

use gastown_domain::ports::{
    Action, Caller, DestroyTown, EventPage, MockDriftChecks, MockHealthChecks, MockOperations, MockOrphans,
    MockRegistry, MockRigs, MockRollouts, MockSingletonJobs, MockUsers, RemoveRig, TownError, TownPage, Towns,
    UpdateTown, VerifiedToken,
};
use gastown_domain::{RigId, TownId};
use gastown_orchestrator::Store;

use crate::bench::{Bench, alice, engine, request};
use crate::faults::{Call, Fault, Process};

fn token(user: &str, pepper: Option<&str>) -> Caller {
    Caller::Token(VerifiedToken { user: user.parse().unwrap(), pepper: pepper.map(Into::into) })
}

/// Returns tokens that must be refused.
fn refused() -> [Caller; 4] {
    [
        token("alice", Some("old pepper")),
        token("alice", None),
        token("mallory", Some("pepper of mallory")),
        token("mallory", None),
    ]
}

/// Calls each operation on this town, and returns the name and the error of each.
async fn every_operation(towns: &dyn Towns, caller: &Caller, town: TownId) -> [(&'static str, Option<TownError>); 12] {
    let add = engine(town);
    let expected = gastown_domain::TownConfig::default().version();
    let update = UpdateTown { town, config: gastown_domain::ConfigPatch::default(), expected };
    let remove = RemoveRig { town, rig: RigId::new(uuid::Uuid::nil()), force: false };
    [
        ("list_towns", towns.list_towns(caller, TownPage::default()).await.err()),
        ("town_status", towns.town_status(caller, town).await.err()),
        ("watch_town", towns.watch_town(caller, town, None).await.err()),
        ("watch_towns", towns.watch_towns(caller, None).await.err()),
        ("town_events", towns.town_events(caller, EventPage { town, before: None, limit: 50 }).await.err()),
        ("create_town", towns.create_town(caller, request("inn")).await.err()),
        ("add_rig", towns.add_rig(caller, add).await.err()),
        ("remove_rig", towns.remove_rig(caller, remove).await.err()),
        ("update_town", towns.update_town(caller, update).await.err()),
        ("stop_town", towns.stop_town(caller, town).await.err()),
        ("start_town", towns.start_town(caller, town).await.err()),
        ("destroy_town", towns.destroy_town(caller, DestroyTown::until_gone(town)).await.err()),
    ]
}

#[tokio::test(start_paused = true)]
async fn revoked_token_is_refused_by_every_operation_and_changes_nothing() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let towns = bench.replica().towns;
    for caller in refused() {
        for (operation, error) in every_operation(&towns, &caller, town.id).await {
            assert!(matches!(error, Some(TownError::Unauthorized)), "{operation} of {caller:?}: {error:?}");
        }
    }
    let rows = bench.store.rows();
    assert_eq!((rows.towns.len(), rows.operations.len(), rows.rigs.len()), (1, 0, 0));
    assert_eq!(rows.towns[&town.id], town);
}

#[tokio::test(start_paused = true)]
async fn current_token_and_trusted_user_are_accepted_by_every_operation() {
    for caller in [token("alice", Some("pepper of alice")), alice()] {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        for (operation, error) in every_operation(&bench.replica().towns, &caller, town).await {
            // No rig has this id.
            let accepted = matches!((operation, &error), (_, None) | ("remove_rig", Some(TownError::RigNotFound)));
            assert!(accepted, "{operation} of {caller:?}: {error:?}");
        }
    }
}

/// Returns a store that fails a test with every call that it does not expect.
fn no_calls(registry: MockRegistry, users: MockUsers) -> Store {
    Store {
        registry: Arc::new(registry),
        rigs: Arc::new(MockRigs::new()),
        operations: Arc::new(MockOperations::new()),
        users: Arc::new(users),
        drift_checks: Arc::new(MockDriftChecks::new()),
        health_checks: Arc::new(MockHealthChecks::new()),
        rollouts: Arc::new(MockRollouts::new()),
        orphans: Arc::new(MockOrphans::new()),
        jobs: Arc::new(MockSingletonJobs::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn each_read_is_one_call_of_the_registry() {
    let bench = Bench::new();
    let caller = token("alice", Some("pepper of alice"));
    let mut registry = MockRegistry::new();
    registry.expect_report().times(1).returning(|_, _| Ok(None));
    registry.expect_list().times(1).returning(|_| Ok(Vec::new()));
    let mut ports = bench.ports(&Process::default());
    ports.store = no_calls(registry, MockUsers::new());
    let towns = bench.replica_on(ports, Process::default()).towns;
    let error = towns.town_status(&caller, TownId::new(uuid::Uuid::nil())).await.unwrap_err();
    assert!(matches!(error, TownError::NotFound), "{error:?}");
    assert!(towns.list_towns(&caller, TownPage::default()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn change_of_a_town_or_its_rigs_needs_no_read_of_its_user() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let mut ports = bench.ports(&Process::default());
    ports.store.users = Arc::new(MockUsers::new());
    let towns = bench.replica_on(ports, Process::default()).towns;
    // The read of the town authorizes the caller.
    let caller = token("alice", Some("pepper of alice"));
    towns.stop_town(&caller, town).await.unwrap();
    let unknown = RemoveRig { town, rig: RigId::new(uuid::Uuid::nil()), force: false };
    assert!(matches!(towns.remove_rig(&caller, unknown).await, Err(TownError::RigNotFound)));
}

/// FM-17: a blocked user costs nothing more, and may still look and remove.
#[tokio::test(start_paused = true)]
async fn blocked_user_creates_and_starts_nothing_and_still_stops_and_destroys() {
    let bench = Bench::new();
    let (running, stopped) = (bench.running("mill").await.id, bench.stopped("inn").await.id);
    let towns = bench.replica().towns;
    let kept = towns.add_rig(&alice(), engine(running)).await.unwrap().rig.id;
    bench.store.rows().blocked.insert("alice".parse().unwrap());
    for caller in [token("alice", Some("pepper of alice")), Caller::Trusted("alice".parse().unwrap())] {
        let created = towns.create_town(&caller, request("forge")).await;
        assert!(matches!(created, Err(TownError::Blocked)), "{created:?}");
        let started = towns.start_town(&caller, stopped).await;
        assert!(matches!(started, Err(TownError::Blocked)), "{started:?}");
        let expected = gastown_domain::TownConfig::default().version();
        let update = UpdateTown { town: running, config: gastown_domain::ConfigPatch::default(), expected };
        let updated = towns.update_town(&caller, update).await;
        assert!(matches!(updated, Err(TownError::Blocked)), "{updated:?}");
        let added = towns.add_rig(&caller, engine(running)).await;
        assert!(matches!(added, Err(TownError::Blocked)), "{added:?}");
        assert_eq!(towns.list_towns(&caller, TownPage::default()).await.unwrap().len(), 2);
        assert_eq!(towns.town_status(&caller, running).await.unwrap().town.id, running);
    }
    let caller = token("alice", Some("pepper of alice"));
    towns.remove_rig(&caller, RemoveRig { town: running, rig: kept, force: false }).await.unwrap();
    towns.stop_town(&caller, running).await.unwrap();
    for town in [running, stopped] {
        towns.destroy_town(&caller, gastown_domain::ports::DestroyTown::until_gone(town)).await.unwrap();
        bench.assert_nothing_left(town);
    }
}

#[tokio::test(start_paused = true)]
async fn create_of_a_user_who_is_blocked_meanwhile_is_rolled_back() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::Slow);
    let replica = bench.replica();
    let store = bench.store.clone();
    let owner = alice();
    let block = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        store.rows().blocked.insert("alice".parse().unwrap());
    };
    let (created, ()) = tokio::join!(replica.towns.create_town(&owner, request("mill")), block);
    let failed = created.unwrap_err();
    assert!(matches!(failed, TownError::Failed { failure: gastown_domain::Failure::OwnerBlocked, .. }), "{failed:?}");
    bench.recover().await;
    bench.assert_nothing_left(bench.only_town());
}
