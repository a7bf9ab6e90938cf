//! The calls that sandboxes make to the control plane.

use std::time::Duration;

use gastown_domain::TownStatus;
use gastown_domain::ports::{DestroyTown, HomeCalls as _, HomeError, Towns as _};
use secrecy::ExposeSecret as _;

use crate::bench::{Bench, alice};
use crate::env::key_of;

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_recorded_by_our_clock_and_changes_no_status() {
    let bench = Bench::new();
    let before = bench.stopped("mill").await;
    let towns = bench.replica().towns;

    towns.heartbeat(before.id, key_of(before.id).into()).await.unwrap();

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
        let beat = towns.heartbeat(town, key.clone().into()).await;
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
async fn heartbeat_after_another_is_accepted_without_a_write() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    let beat = async || {
        towns.heartbeat(town, key_of(town).into()).await.unwrap();
        bench.store.town(town).last_heartbeat_at.unwrap()
    };

    let first = beat().await;
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(beat().await, first);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(beat().await > first);

    towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    let late = towns.heartbeat(town, key_of(town).into()).await;
    assert!(matches!(late, Err(HomeError::Unauthorized)), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_town_have_a_rate_of_their_own() {
    let bench = Bench::new();
    let (mill, forge) = (bench.running("mill").await.id, bench.running("forge").await.id);
    let towns = bench.replica().towns;
    for _ in 0..10 {
        towns.heartbeat(mill, key_of(mill).into()).await.unwrap();
    }

    let refused = towns.heartbeat(mill, key_of(mill).into()).await;
    let Err(HomeError::TooManyCalls { retry_after }) = refused else { panic!("{refused:?}") };
    assert!(retry_after <= Duration::from_secs(1), "{retry_after:?}");
    assert!(matches!(towns.heartbeat(mill, key_of(forge).into()).await, Err(HomeError::Unauthorized)));
    towns.heartbeat(forge, key_of(forge).into()).await.unwrap();
    towns.refresh_token(mill, key_of(mill).into()).await.unwrap();
    for _ in 0..9 {
        towns.refresh_token(mill, key_of(mill).into()).await.unwrap();
    }
    let refused = towns.refresh_token(mill, key_of(mill).into()).await;
    assert!(matches!(refused, Err(HomeError::TooManyCalls { .. })), "{refused:?}");
}
