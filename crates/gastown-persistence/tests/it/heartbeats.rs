//! Heartbeats in batches, and the expiry of tokens.

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::Registry as _;
use gastown_domain::{Heartbeat, SandboxReport, Town, TownId};

use crate::bed::{Bed, fresh_uuid, noon, on_both};

on_both! {
    batch_is_written_for_live_towns_only,
    older_report_replaces_no_newer_one,
    syncs_only_move_forwards_and_only_after_the_creation,
    missing_parts_of_a_report_become_unknown,
    two_batches_in_opposite_orders_are_both_written,
    expiry_of_a_token_only_moves_forwards_and_only_for_live_towns,
}

fn report(polecats: u32) -> SandboxReport {
    SandboxReport {
        gt_running: Some(true),
        dolt_running: Some(false),
        active_polecats: Some(polecats),
        disk_used_bytes: Some(1 << 40),
    }
}

fn beat(town: TownId, seconds: i64, polecats: u32, sync: Option<DateTime<Utc>>) -> Heartbeat {
    let received_at = noon() + TimeDelta::seconds(seconds);
    Heartbeat { town, received_at, report: report(polecats), synced_at: sync, is_idle: polecats == 0 }
}

async fn seen(bed: &Bed, town: TownId) -> Town {
    bed.database.load(town).await.unwrap().unwrap()
}

async fn batch_is_written_for_live_towns_only(bed: Bed) {
    let (mill, forge) = (bed.running("alice", "mill").await, bed.running("bob", "forge").await);
    let gone = bed.running("alice", "gone").await;
    bed.destroy(&gone).await;
    let unknown = TownId::new(fresh_uuid());
    let batch = [gone.id, mill.id, unknown, forge.id].map(|town| beat(town, 5, 3, None));

    let mut live = bed.database.record_heartbeats(&batch).await.unwrap();
    live.sort();
    let mut expected = [mill.id, forge.id];
    expected.sort();
    assert_eq!(live, expected);

    for town in [mill.id, forge.id] {
        assert_eq!(seen(&bed, town).await.last_heartbeat_at, Some(noon() + TimeDelta::seconds(5)));
        let health = bed.health(town).await;
        assert_eq!((health.report, health.last_report_at), (report(3), Some(noon() + TimeDelta::seconds(5))));
    }
    assert_eq!(seen(&bed, gone.id).await.last_heartbeat_at, None);
    assert_eq!(bed.health(gone.id).await.last_report_at, None);
    assert!(bed.database.lives(mill.id).await.unwrap());
    assert!(!bed.database.lives(gone.id).await.unwrap() && !bed.database.lives(unknown).await.unwrap());
    assert_eq!(bed.database.record_heartbeats(&[]).await.unwrap(), []);
}

async fn older_report_replaces_no_newer_one(bed: Bed) {
    let town = bed.running("alice", "mill").await.id;
    for late in [beat(town, 9, 1, None), beat(town, 8, 7, None)] {
        assert_eq!(bed.database.record_heartbeats(&[late]).await.unwrap(), [town]);
    }
    let health = bed.health(town).await;
    assert_eq!((health.report.active_polecats, health.last_report_at), (Some(1), Some(noon() + TimeDelta::seconds(9))));
    assert_eq!(seen(&bed, town).await.last_heartbeat_at, health.last_report_at);
}

async fn syncs_only_move_forwards_and_only_after_the_creation(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let at = |seconds| town.created_at + TimeDelta::seconds(seconds);
    for (number, (claimed, shown)) in [
        (Some(at(-1)), None),
        (Some(at(10)), Some(at(10))),
        (Some(at(5)), Some(at(10))),
        (None, Some(at(10))),
        (Some(at(20)), Some(at(20))),
    ]
    .into_iter()
    .enumerate()
    {
        let seconds = i64::try_from(number).unwrap();
        bed.database.record_heartbeats(&[beat(town.id, seconds, 0, claimed)]).await.unwrap();
        assert_eq!(seen(&bed, town.id).await.last_r2_sync_at, shown, "{number}");
    }
}

async fn missing_parts_of_a_report_become_unknown(bed: Bed) {
    let town = bed.running("alice", "mill").await.id;
    let silent = Heartbeat { report: SandboxReport::default(), ..beat(town, 1, 0, None) };
    bed.database.record_heartbeats(&[beat(town, 0, 3, None)]).await.unwrap();
    bed.database.record_heartbeats(&[silent]).await.unwrap();
    assert_eq!(bed.health(town).await.report, SandboxReport::default());
}

async fn two_batches_in_opposite_orders_are_both_written(bed: Bed) {
    let mut towns = Vec::new();
    for number in 0..20 {
        towns.push(bed.running("alice", &format!("town-{number}")).await.id);
    }
    let forwards: Vec<_> = towns.iter().map(|town| beat(*town, 1, 1, None)).collect();
    let backwards: Vec<_> = towns.iter().rev().map(|town| beat(*town, 2, 2, None)).collect();
    for _ in 0..5 {
        let (one, other) =
            tokio::join!(bed.database.record_heartbeats(&forwards), bed.database.record_heartbeats(&backwards));
        assert_eq!((one.unwrap().len(), other.unwrap().len()), (20, 20));
    }
    for town in towns {
        assert_eq!(bed.health(town).await.report.active_polecats, Some(2));
    }
}

async fn expiry_of_a_token_only_moves_forwards_and_only_for_live_towns(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    for (seconds, shown) in [(10, 10), (5, 10), (20, 20)] {
        assert!(bed.database.record_token(town.id, noon() + TimeDelta::seconds(seconds)).await.unwrap());
        let known = bed.health(town.id).await.token_expires_at;
        assert_eq!(known, Some(noon() + TimeDelta::seconds(shown)));
    }
    bed.destroy(&town).await;
    assert!(!bed.database.record_token(town.id, noon() + TimeDelta::seconds(30)).await.unwrap());
}
