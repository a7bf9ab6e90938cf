use std::collections::HashMap;
use std::time::Duration;

use gastown_domain::ports::{Operations as _, Registry as _, TownChange};
use gastown_domain::{Failure, OperationKind, StepName, TownId};

use crate::bed::{Bed, LEASE, fresh_uuid, is_fenced, on_both, record, worker};

on_both! {
    one_of_two_workers_claims_the_operation,
    each_of_many_operations_is_claimed_once,
    claim_raises_the_fence_and_excludes_its_own_worker,
    expired_lease_is_taken_over_and_the_old_holder_writes_nothing,
    expired_lease_can_be_renewed_until_it_is_taken_over,
    record_renews_the_lease,
    operation_that_is_not_due_is_not_claimed,
    a_released_claim_is_free,
    claim_without_an_operation_returns_none,
}

async fn one_of_two_workers_claims_the_operation(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let (one, two) = (worker("one"), worker("two"));
    let (first, second) =
        tokio::join!(bed.database.claim(town.id, &one, LEASE), bed.database.claim(town.id, &two, LEASE),);
    let won: Vec<_> = [first.unwrap(), second.unwrap()].into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(won[0].fence, 1);
    assert!(bed.claim(town.id, "three").await.is_none());
}

pub(crate) async fn each_of_many_operations_is_claimed_once(bed: Bed) {
    for number in 0..10 {
        bed.create("alice", &format!("mill-{number}")).await;
    }
    let mut running = tokio::task::JoinSet::new();
    for number in 0..4 {
        let database = bed.database.clone();
        running.spawn(async move { database.claim_due(&worker(&format!("w{number}")), LEASE, 100).await.unwrap() });
    }
    let mut claims: HashMap<TownId, usize> = HashMap::new();
    for operation in running.join_all().await.into_iter().flatten() {
        *claims.entry(operation.town).or_default() += 1;
    }
    assert_eq!(claims.len(), 10);
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
    assert_eq!(bed.claim_due("late", 100).await, []);
}

async fn claim_raises_the_fence_and_excludes_its_own_worker(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let first = bed.claimed(town.id, "one").await;
    assert_eq!(bed.claim(town.id, "one").await, None);
    bed.database.renew(first.fence(), LEASE).await.unwrap();
    bed.expire_leases().await;
    let second = bed.claimed(town.id, "one").await;
    assert_eq!((first.fence, second.fence), (1, 2));
    assert!(is_fenced(&bed.database.renew(first.fence(), LEASE).await));
}

pub(crate) async fn expired_lease_is_taken_over_and_the_old_holder_writes_nothing(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let old = bed.claimed(town.id, "one").await;
    bed.expire_leases().await;
    let new = bed.database.claim_due(&worker("two"), LEASE, 10).await.unwrap().remove(0);
    let before = (bed.database.current(town.id).await.unwrap(), bed.database.load(town.id).await.unwrap());

    let mut late = record(StepName::CreateMachine);
    late.last_error = Some(Failure::Throttled.into());
    late.town.machine = Some(Some("148ed21a031189".parse().unwrap()));
    assert!(is_fenced(&bed.database.record(old.fence(), &late).await));
    assert!(is_fenced(&bed.database.renew(old.fence(), LEASE).await));
    assert!(is_fenced(&bed.database.release(old.fence()).await));
    assert!(is_fenced(&bed.database.finish(&old, Ok(()), &late.town).await));

    let after = (bed.database.current(town.id).await.unwrap(), bed.database.load(town.id).await.unwrap());
    assert_eq!(after, before);
    assert_eq!(bed.database.outcome(old.id).await.unwrap(), None);
    bed.database.record(new.fence(), &late).await.unwrap();
}

async fn expired_lease_can_be_renewed_until_it_is_taken_over(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    bed.expire_leases().await;
    bed.database.renew(claim.fence(), LEASE).await.unwrap();
    assert!(bed.claim(town.id, "two").await.is_none());
}

async fn record_renews_the_lease(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    bed.expire_leases().await;
    bed.database.record(claim.fence(), &record(StepName::CreateVolume)).await.unwrap();
    assert!(bed.claim(town.id, "two").await.is_none());
    assert_eq!(bed.claim_due("two", 10).await, []);
}

async fn operation_that_is_not_due_is_not_claimed(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let mut waiting = record(StepName::CreateVolume);
    (waiting.wait, waiting.hold) = (Duration::from_secs(600), None);
    bed.database.record(claim.fence(), &waiting).await.unwrap();
    assert_eq!(bed.claim_due("two", 10).await, []);
    assert!(bed.claim(town.id, "one").await.is_none());
    assert!(bed.claim(town.id, "two").await.is_none());
}

async fn a_released_claim_is_free(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    bed.database.release(claim.fence()).await.unwrap();
    let again = bed.database.claim_due(&worker("two"), LEASE, 10).await.unwrap();
    assert_eq!(again.iter().map(|operation| operation.fence).collect::<Vec<_>>(), [2]);
    assert!(is_fenced(&bed.database.release(claim.fence()).await));
}

async fn claim_without_an_operation_returns_none(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    assert_eq!(bed.claim(town.id, "one").await, None);
    assert_eq!(bed.claim(TownId::new(fresh_uuid()), "one").await, None);
    assert_eq!(bed.database.current(town.id).await.unwrap(), None);
    bed.request(&town, OperationKind::Stop).await;
    let claim = bed.claimed(town.id, "one").await;
    bed.database.finish(&claim, Ok(()), &TownChange::default()).await.unwrap();
    assert!(is_fenced(&bed.database.renew(claim.fence(), LEASE).await));
}
