//! Replicas that claim concurrently.

use std::collections::HashMap;
use std::time::Duration;

use gastown_domain::TownId;
use gastown_domain::ports::Operations as _;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use crate::bed::{Bed, LEASE, on_both, record, worker};

on_both! {
    replicas_share_due_operations_and_none_is_claimed_twice,
    claim_due_respects_the_limit,
    the_longest_due_comes_first,
    one_users_first_comes_before_another_users_second,
    claimed_operations_count_as_turns,
    held_or_waiting_operations_are_not_claimed,
    unreadable_operation_is_postponed_and_does_not_delay_others,
}

/// Sets the due time of a town's operation to this second of the year 2001.
async fn due_since(bed: &Bed, name: &str, second: u32) {
    bed.sql(&format!(
        "UPDATE gastown_operations SET next_attempt_at = '2001-01-01T00:00:{second:02}+00:00' \
         WHERE town_id = (SELECT id FROM gastown_towns WHERE town_name = '{name}')"
    ))
    .await;
}

/// Creates these towns in this order, each due one second after the one before.
async fn queue(bed: &Bed, towns: &[(&str, &str)]) -> Vec<TownId> {
    let mut ids = Vec::new();
    for (second, (owner, name)) in (0..).zip(towns) {
        ids.push(bed.create(owner, name).await.id);
        due_since(bed, name, second).await;
    }
    ids
}

pub(crate) async fn replicas_share_due_operations_and_none_is_claimed_twice(bed: Bed) {
    for number in 0..30 {
        bed.create(["alice", "bob"][number % 2], &format!("mill-{number}")).await;
    }
    let mut running = tokio::task::JoinSet::new();
    for number in 0..6 {
        // A separate pool, as in another process.
        let database = bed.again(|settings| settings.max_connections = 2).await;
        running.spawn(async move {
            let mut mine = Vec::new();
            // More rounds than work, so that repeated claims are found.
            for _ in 0..30 {
                mine.extend(database.claim_due(&worker(&format!("w{number}")), LEASE, 2).await.unwrap());
            }
            mine
        });
    }
    let mut claims: HashMap<TownId, usize> = HashMap::new();
    for operation in running.join_all().await.into_iter().flatten() {
        assert_eq!(operation.fence, 1);
        *claims.entry(operation.town).or_default() += 1;
    }
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
    assert_eq!(claims.len(), 30);
}

async fn claim_due_respects_the_limit(bed: Bed) {
    queue(&bed, &[("alice", "a"), ("alice", "b"), ("alice", "c")]).await;
    assert_eq!(bed.claim_due("one", 0).await, []);
    assert_eq!(bed.claim_due("one", 2).await.len(), 2);
    assert_eq!(bed.claim_due("two", 2).await.len(), 1);
    assert_eq!(bed.claim_due("three", 2).await, []);
}

async fn the_longest_due_comes_first(bed: Bed) {
    let ids = queue(&bed, &[("alice", "a"), ("alice", "b"), ("alice", "c")]).await;
    due_since(&bed, "a", 59).await;
    assert_eq!(bed.claim_due("one", 1).await, [ids[1]]);
    assert_eq!(bed.claim_due("one", 5).await, [ids[2], ids[0]]);
}

async fn one_users_first_comes_before_another_users_second(bed: Bed) {
    let ids = queue(&bed, &[("alice", "a"), ("alice", "b"), ("alice", "c"), ("bob", "d"), ("bob", "e")]).await;
    assert_eq!(bed.claim_due("one", 5).await, [ids[0], ids[3], ids[1], ids[4], ids[2]]);
}

async fn claimed_operations_count_as_turns(bed: Bed) {
    let ids = queue(&bed, &[("alice", "a"), ("alice", "b"), ("alice", "c"), ("bob", "d")]).await;
    assert_eq!(bed.claim_due("one", 1).await, [ids[0]]);
    assert_eq!(bed.claim_due("one", 1).await, [ids[3]], "alice has one in progress, bob none");
    assert_eq!(bed.claim_due("one", 1).await, [ids[1]]);
}

async fn held_or_waiting_operations_are_not_claimed(bed: Bed) {
    let ids = queue(&bed, &[("alice", "held"), ("alice", "waiting"), ("alice", "free")]).await;
    bed.claimed(ids[0], "one").await;
    let waiting = bed.claimed(ids[1], "one").await;
    let mut later = record(gastown_domain::StepName::CreateVolume);
    (later.wait, later.hold) = (Duration::from_secs(600), None);
    bed.database.record(waiting.fence(), &later).await.unwrap();
    assert_eq!(bed.claim_due("two", 10).await, [ids[2]]);
}

async fn unreadable_operation_is_postponed_and_does_not_delay_others(bed: Bed) {
    let ids = queue(&bed, &[("alice", "a"), ("alice", "b"), ("bob", "c"), ("bob", "d")]).await;
    for (name, damage) in [("a", "requested_by = 'a b'"), ("b", "progress = '3'"), ("c", "attempt = -1")] {
        let town = format!("(SELECT id FROM gastown_towns WHERE town_name = '{name}')");
        bed.sql(&format!("UPDATE gastown_operations SET {damage} WHERE town_id = {town}")).await;
    }
    assert_eq!(bed.claim_due("one", 1).await, [ids[3]], "the readable one, although three are due longer");
    let put_off =
        "SELECT count(*) FROM gastown_operations WHERE next_attempt_at > '2020-01-01T00:00:00+00:00' AND fence = 0";
    assert_eq!(bed.number(put_off).await, 3);
    bed.sql("UPDATE gastown_operations SET requested_by = 'alice', progress = '{}', attempt = 0").await;
    assert_eq!(bed.claim_due("one", 10).await, [], "not before they are due again");
    bed.sql("UPDATE gastown_operations SET next_attempt_at = '2001-01-01T00:00:00+00:00'").await;
    assert_eq!(bed.claim_due("one", 10).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_row_is_skipped() {
    let bed = Bed::postgres().await;
    let ids = queue(&bed, &[("alice", "a"), ("alice", "b")]).await;
    let impatient = bed.again(|settings| settings.lock_timeout = Duration::from_millis(1)).await;
    let other = bed.raw.begin().await.unwrap();
    let lock = "SELECT 1 FROM gastown_operations ORDER BY next_attempt_at LIMIT 1 FOR UPDATE";
    other.execute_unprepared(lock).await.unwrap();
    let claimed = impatient.claim_due(&worker("one"), LEASE, 10).await.unwrap();
    assert_eq!(claimed.iter().map(|operation| operation.town).collect::<Vec<_>>(), [ids[1]]);
    other.rollback().await.unwrap();
    assert_eq!(bed.claim_due("one", 10).await, [ids[0]]);
}
