//! The calls that sandboxes make to the control plane.

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
