//! Singleton jobs: one replica at a time.

use std::time::Duration;

use gastown_domain::ports::{Alarm, JobState, LeaderLease, SingletonJob, SingletonJobs as _};

use crate::bed::{Bed, LEASE, on_both, worker};

on_both! {
    one_of_parallel_replicas_claims_the_job,
    job_is_not_claimed_before_its_period,
    expired_job_is_taken_over_and_the_old_number_writes_nothing,
    job_is_renewed_until_it_ends,
    states_lists_every_job,
}

async fn claim_as(bed: &Bed, who: &str, every: Duration) -> Option<LeaderLease> {
    bed.database.claim(SingletonJob::Orphans, &worker(who), LEASE, every).await.unwrap()
}

async fn state(bed: &Bed) -> JobState {
    bed.database.states().await.unwrap().into_iter().find(|state| state.job == SingletonJob::Orphans).unwrap()
}

pub(crate) async fn one_of_parallel_replicas_claims_the_job(bed: Bed) {
    for round in 1..=3 {
        let mut running = tokio::task::JoinSet::new();
        for number in 0..8 {
            let database = bed.database.clone();
            running.spawn(async move {
                database
                    .claim(SingletonJob::Orphans, &worker(&format!("w{number}")), LEASE, Duration::ZERO)
                    .await
                    .unwrap()
            });
        }
        let begun: Vec<_> = running.join_all().await.into_iter().flatten().collect();
        assert_eq!(begun, [LeaderLease { job: SingletonJob::Orphans, number: round }]);
        bed.database.finish(begun[0], None).await.unwrap();
    }
    let other = bed.database.claim(SingletonJob::DriftCheck, &worker("one"), LEASE, Duration::ZERO).await.unwrap();
    assert_eq!(other, Some(LeaderLease { job: SingletonJob::DriftCheck, number: 1 }), "each job has its own number");
}

async fn job_is_not_claimed_before_its_period(bed: Bed) {
    let hour = Duration::from_secs(3600);
    let first = claim_as(&bed, "one", hour).await.unwrap();
    bed.database.finish(first, None).await.unwrap();
    assert_eq!(claim_as(&bed, "two", hour).await, None);
    assert_eq!(claim_as(&bed, "two", Duration::MAX).await, None);
    bed.sql("UPDATE gastown_passes SET began_at = '2001-01-01T00:00:00+00:00'").await;
    assert_eq!(claim_as(&bed, "two", hour).await.map(|claim| claim.number), Some(2));
}

async fn expired_job_is_taken_over_and_the_old_number_writes_nothing(bed: Bed) {
    let old = claim_as(&bed, "one", Duration::ZERO).await.unwrap();
    assert_eq!(claim_as(&bed, "two", Duration::ZERO).await, None, "its lease holds");
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2001-01-01T00:00:00+00:00'").await;
    let new = claim_as(&bed, "two", Duration::ZERO).await.unwrap();
    assert_eq!((old.number, new.number), (1, 2));

    assert!(!bed.database.renew(old, LEASE).await.unwrap());
    bed.database.finish(old, Some(Alarm::ManyOrphans)).await.unwrap();
    assert_eq!(state(&bed).await, JobState { job: SingletonJob::Orphans, ended_at: None, alarm: None });
    assert!(bed.database.renew(new, LEASE).await.unwrap());
}

async fn job_is_renewed_until_it_ends(bed: Bed) {
    let claim = claim_as(&bed, "one", Duration::ZERO).await.unwrap();
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2001-01-01T00:00:00+00:00'").await;
    assert!(bed.database.renew(claim, LEASE).await.unwrap(), "it was not taken over");
    assert_eq!(claim_as(&bed, "two", Duration::ZERO).await, None);
    bed.database.finish(claim, None).await.unwrap();
    assert!(!bed.database.renew(claim, LEASE).await.unwrap(), "it has ended");
}

async fn states_lists_every_job(bed: Bed) {
    let never = |job| JobState { job, ended_at: None, alarm: None };
    assert_eq!(bed.database.states().await.unwrap(), SingletonJob::ALL.map(never));
    let claim = claim_as(&bed, "one", Duration::ZERO).await.unwrap();
    bed.database.finish(claim, Some(Alarm::ManyOrphans)).await.unwrap();
    let ended = state(&bed).await;
    assert_eq!(ended.alarm, Some(Alarm::ManyOrphans.into()));
    assert!(ended.ended_at.is_some());

    let claim = claim_as(&bed, "one", Duration::ZERO).await.unwrap();
    assert_eq!(state(&bed).await, ended, "the state is that of the last finished run");
    bed.database.finish(claim, None).await.unwrap();
    assert_eq!(state(&bed).await.alarm, None);
}
