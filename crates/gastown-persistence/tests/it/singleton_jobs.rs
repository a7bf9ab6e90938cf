//! Periodic passes: one replica at a time.

use std::time::Duration;

use gastown_domain::ports::{Alarm, JobState, LeaderLease, SingletonJob, SingletonJobs as _};

use crate::bed::{Bed, LEASE, on_both, worker};

on_both! {
    of_replicas_that_begin_at_once_one_may,
    the_next_begins_no_sooner_than_it_should,
    a_pass_whose_lease_ran_out_is_anothers_and_its_old_number_writes_nothing,
    a_pass_in_time_is_prolonged,
    how_every_pass_stands_is_told,
}

async fn begin(bed: &Bed, who: &str, every: Duration) -> Option<LeaderLease> {
    bed.database.claim(SingletonJob::Orphans, &worker(who), LEASE, every).await.unwrap()
}

async fn state(bed: &Bed) -> JobState {
    bed.database.states().await.unwrap().into_iter().find(|state| state.job == SingletonJob::Orphans).unwrap()
}

async fn of_replicas_that_begin_at_once_one_may(bed: Bed) {
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
    assert_eq!(other, Some(LeaderLease { job: SingletonJob::DriftCheck, number: 1 }), "each pass has its own number");
}

async fn the_next_begins_no_sooner_than_it_should(bed: Bed) {
    let hour = Duration::from_secs(3600);
    let first = begin(&bed, "one", hour).await.unwrap();
    bed.database.finish(first, None).await.unwrap();
    assert_eq!(begin(&bed, "two", hour).await, None);
    assert_eq!(begin(&bed, "two", Duration::MAX).await, None);
    bed.sql("UPDATE gastown_passes SET began_at = '2001-01-01T00:00:00+00:00'").await;
    assert_eq!(begin(&bed, "two", hour).await.map(|claim| claim.number), Some(2));
}

async fn a_pass_whose_lease_ran_out_is_anothers_and_its_old_number_writes_nothing(bed: Bed) {
    let old = begin(&bed, "one", Duration::ZERO).await.unwrap();
    assert_eq!(begin(&bed, "two", Duration::ZERO).await, None, "its lease holds");
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2001-01-01T00:00:00+00:00'").await;
    let new = begin(&bed, "two", Duration::ZERO).await.unwrap();
    assert_eq!((old.number, new.number), (1, 2));

    assert!(!bed.database.renew(old, LEASE).await.unwrap());
    bed.database.finish(old, Some(Alarm::ManyOrphans)).await.unwrap();
    assert_eq!(state(&bed).await, JobState { job: SingletonJob::Orphans, ended_at: None, alarm: None });
    assert!(bed.database.renew(new, LEASE).await.unwrap());
}

async fn a_pass_in_time_is_prolonged(bed: Bed) {
    let claim = begin(&bed, "one", Duration::ZERO).await.unwrap();
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2001-01-01T00:00:00+00:00'").await;
    assert!(bed.database.renew(claim, LEASE).await.unwrap(), "nobody took it meanwhile");
    assert_eq!(begin(&bed, "two", Duration::ZERO).await, None);
    bed.database.finish(claim, None).await.unwrap();
    assert!(!bed.database.renew(claim, LEASE).await.unwrap(), "what has ended is nobody's");
}

async fn how_every_pass_stands_is_told(bed: Bed) {
    let never = |job| JobState { job, ended_at: None, alarm: None };
    assert_eq!(bed.database.states().await.unwrap(), SingletonJob::ALL.map(never));
    let claim = begin(&bed, "one", Duration::ZERO).await.unwrap();
    bed.database.finish(claim, Some(Alarm::ManyOrphans)).await.unwrap();
    let ended = state(&bed).await;
    assert_eq!(ended.alarm, Some(Alarm::ManyOrphans));
    assert!(ended.ended_at.is_some());

    let claim = begin(&bed, "one", Duration::ZERO).await.unwrap();
    assert_eq!(state(&bed).await, ended, "the last one counts until this one has ended");
    bed.database.finish(claim, None).await.unwrap();
    assert_eq!(state(&bed).await.alarm, None);
}
