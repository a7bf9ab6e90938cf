//! The calls that sandboxes make to the control plane.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{DestroyTown, HomeCalls as _, HomeError, Towns as _};
use gastown_domain::{SandboxReport, TownId, TownStatus};
use gastown_orchestrator::{HeartbeatWriter, TownService};
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, alice};
use crate::env::key_of;
use crate::faults::Process;

/// Sends a heartbeat with the town's key.
async fn beat(towns: &TownService, town: TownId, claimed_sync: Option<DateTime<Utc>>) -> Result<(), HomeError> {
    towns.heartbeat(town, key_of(town).into(), SandboxReport::default(), claimed_sync).await
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_recorded_by_our_clock_and_changes_no_status() {
    let bench = Bench::new();
    let before = bench.stopped("mill").await;
    let towns = bench.replica().towns;

    beat(&towns, before.id, None).await.unwrap();
    towns.close_heartbeats().await;

    let town = bench.store.town(before.id);
    assert!(town.last_heartbeat_at > Some(before.created_at));
    assert_eq!(town.status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn refreshed_token_is_new_and_for_the_owner() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;

    let token = bench.replica().towns.refresh_token(town, key_of(town).into()).await.unwrap();

    assert_eq!(token.token.expose_secret(), format!("token 2 for {town} of alice with pepper of alice"));
    let minted = bench.mint.minted.lock().unwrap();
    assert_eq!((minted[1].user.as_str(), minted[1].town), ("alice", town));
}

#[tokio::test(start_paused = true)]
async fn keys_of_other_and_destroyed_towns_are_refused() {
    let bench = Bench::new();
    let (mill, forge) = (bench.running("mill").await.id, bench.running("forge").await.id);
    let towns = bench.replica().towns;
    towns.destroy_town(&alice(), DestroyTown::until_gone(forge)).await.unwrap();

    for (town, key) in [(mill, key_of(forge)), (mill, String::new()), (forge, key_of(forge))] {
        let beat = towns.heartbeat(town, key.clone().into(), SandboxReport::default(), None).await;
        assert!(matches!(beat, Err(HomeError::Unauthorized)), "{town} {key}: {beat:?}");
        let token = towns.refresh_token(town, key.clone().into()).await;
        assert!(matches!(token, Err(HomeError::Unauthorized)), "{town} {key}: {token:?}");
    }
    assert_eq!(bench.store.town(mill).last_heartbeat_at, None);
    assert_eq!(bench.mint.minted.lock().unwrap().len(), 2, "one token for each create");
}

#[tokio::test(start_paused = true)]
async fn owner_without_account_gets_no_token() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.store.rows().users.clear();
    let token = bench.replica().towns.refresh_token(town, key_of(town).into()).await;
    assert!(matches!(token, Err(HomeError::NoToken(gastown_domain::Failure::OwnerUnknown))), "{token:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_of_a_town_are_written_together_and_none_is_lost_at_a_stop() {
    let bench = Bench::new();
    let (mill, forge) = (bench.running("mill").await.id, bench.running("forge").await.id);
    let towns = bench.replica().towns;
    let stop = CancellationToken::new();
    let writer = HeartbeatWriter::new(&towns, bench.ports(&Process::default()).store.registry);
    let writing = tokio::spawn(writer.run(stop.clone()));

    beat(&towns, mill, None).await.unwrap();
    assert_eq!(bench.store.town(mill).last_heartbeat_at, None, "it is accepted before it is written");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let first = bench.store.town(mill).last_heartbeat_at.unwrap();

    for _ in 0..3 {
        beat(&towns, mill, None).await.unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    beat(&towns, forge, None).await.unwrap();
    stop.cancel();
    writing.await.unwrap();
    assert!(bench.store.town(mill).last_heartbeat_at.unwrap() > first);
    assert!(bench.store.town(forge).last_heartbeat_at.is_some());

    beat(&towns, mill, None).await.unwrap();
    let written = bench.store.town(mill).last_heartbeat_at;
    towns.close_heartbeats().await;
    assert!(bench.store.town(mill).last_heartbeat_at > written, "also one that came after the writer has stopped");
    let late = beat(&towns, mill, None).await;
    assert!(matches!(late, Err(HomeError::Overloaded { .. })), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeat_of_a_destroyed_town_is_refused_and_not_written() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    beat(&towns, town, None).await.unwrap();
    towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    let refused = beat(&towns, town, None).await;
    assert!(matches!(refused, Err(HomeError::Unauthorized)), "{refused:?}");
    towns.close_heartbeats().await;
    assert_eq!(bench.store.town(town).last_heartbeat_at, None, "it was accepted while the town lived");
}

#[tokio::test(start_paused = true)]
async fn claimed_sync_is_never_in_the_future() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let towns = bench.replica().towns;
    let tomorrow = town.created_at + TimeDelta::days(1);
    beat(&towns, town.id, Some(tomorrow)).await.unwrap();
    towns.close_heartbeats().await;
    let written = bench.store.town(town.id);
    assert_eq!(written.last_r2_sync_at, written.last_heartbeat_at);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_beyond_the_limit_are_refused() {
    let mut bench = Bench::new();
    bench.settings.policy = bench.settings.policy.changed(|policy| policy.limits.waiting_heartbeats = 1).unwrap();
    let (mill, forge) = (bench.running("mill").await.id, bench.running("forge").await.id);
    let towns = bench.replica().towns;
    beat(&towns, mill, None).await.unwrap();
    beat(&towns, mill, None).await.unwrap();
    let refused = beat(&towns, forge, None).await;
    assert!(matches!(refused, Err(HomeError::Overloaded { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_town_have_a_rate_of_their_own() {
    let bench = Bench::new();
    let (mill, forge) = (bench.running("mill").await.id, bench.running("forge").await.id);
    let towns = bench.replica().towns;
    for _ in 0..10 {
        beat(&towns, mill, None).await.unwrap();
    }

    let refused = beat(&towns, mill, None).await;
    let Err(HomeError::TooManyCalls { retry_after }) = refused else { panic!("{refused:?}") };
    assert!(retry_after <= Duration::from_secs(1), "{retry_after:?}");
    assert!(matches!(
        towns.heartbeat(mill, key_of(forge).into(), SandboxReport::default(), None).await,
        Err(HomeError::Unauthorized)
    ));
    beat(&towns, forge, None).await.unwrap();
    towns.refresh_token(mill, key_of(mill).into()).await.unwrap();
    for _ in 0..9 {
        towns.refresh_token(mill, key_of(mill).into()).await.unwrap();
    }
    let refused = towns.refresh_token(mill, key_of(mill).into()).await;
    assert!(matches!(refused, Err(HomeError::TooManyCalls { .. })), "{refused:?}");
}
