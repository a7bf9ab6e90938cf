//! Rounds of drift checks: all replicas share one, and add their figures to it.

use std::collections::HashSet;
use std::time::Duration;

use gastown_domain::ports::{
    Alarm, DriftChecks as _, JobState, LeaderLease, RoundFigures, RoundProgress, SingletonJob, SingletonJobs,
};

use crate::bed::{Bed, LEASE, on_both, worker};

on_both! {
    one_of_parallel_replicas_begins_the_round_and_the_others_join_it,
    round_does_not_begin_before_its_period_or_while_towns_are_in_flight,
    no_town_is_taken_twice_in_a_round,
    figures_of_all_replicas_are_added,
    round_of_a_dead_replica_is_abandoned_and_the_next_one_begins_after_its_lease,
    alarm_ends_the_round_for_all_replicas,
    round_without_an_alarm_ends_only_when_it_is_complete,
    replaced_round_accepts_nothing,
    round_of_an_older_version_is_left_alone,
}

const EVERY: Duration = Duration::from_secs(60);
const AGREED: RoundFigures = RoundFigures { finished: 1, compared: 1, absent: 0, refused: 0 };

async fn joined(bed: &Bed) -> i64 {
    bed.database.join_round(EVERY).await.unwrap().unwrap().number
}

async fn is_joinable(bed: &Bed) -> bool {
    bed.database.join_round(EVERY).await.unwrap().is_some()
}

/// Adds towns that were never checked.
async fn unseen_towns(bed: &Bed, towns: usize) {
    for number in 0..towns {
        bed.running("alice", &format!("mill-{number}")).await;
    }
    bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
}

async fn take(bed: &Bed, round: i64, limit: u32) -> usize {
    bed.database.take_due(round, limit, EVERY, LEASE).await.unwrap().len()
}

async fn progress(bed: &Bed, round: i64) -> RoundProgress {
    bed.database.report(round, RoundFigures::default(), &[]).await.unwrap().unwrap().progress
}

/// Moves the begin of the round into the past, so that the next one is due.
async fn a_period_later(bed: &Bed) {
    bed.sql("UPDATE gastown_passes SET began_at = '2001-01-01T00:00:00+00:00'").await;
}

async fn one_of_parallel_replicas_begins_the_round_and_the_others_join_it(bed: Bed) {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let database = bed.database.clone();
        running.spawn(async move { database.join_round(EVERY).await.unwrap().unwrap() });
    }
    let rounds = running.join_all().await;
    assert!(rounds.iter().all(|round| round.number == 1 && round.age < EVERY), "{rounds:?}");
    assert_eq!(rounds.iter().filter(|round| round.is_new).count(), 1, "{rounds:?}");
}

async fn round_does_not_begin_before_its_period_or_while_towns_are_in_flight(bed: Bed) {
    unseen_towns(&bed, 1).await;
    let round = joined(&bed).await;
    assert_eq!(take(&bed, round, 10).await, 1);
    a_period_later(&bed).await;
    assert_eq!(joined(&bed).await, round, "a town is in flight");
    bed.database.report(round, AGREED, &[]).await.unwrap();
    assert_eq!(joined(&bed).await, round + 1);
    assert!(bed.database.end_round(round + 1, None).await.unwrap());
    assert!(!is_joinable(&bed).await, "the round has ended, and the next one is not due");
    assert!(bed.database.join_round(Duration::MAX).await.unwrap().is_none());
    a_period_later(&bed).await;
    assert_eq!(joined(&bed).await, round + 2);
}

pub(crate) async fn no_town_is_taken_twice_in_a_round(bed: Bed) {
    unseen_towns(&bed, 24).await;
    let round = joined(&bed).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let database = bed.database.clone();
        running.spawn(async move { database.take_due(round, 5, EVERY, LEASE).await.unwrap() });
    }
    let taken: Vec<_> = running.join_all().await.into_iter().flatten().map(|(town, ..)| town.id).collect();
    let different: HashSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), different.len()), (24, 24), "takes wait for each other, so none is left out");
    assert_eq!(take(&bed, round, 5).await, 0);
}

async fn figures_of_all_replicas_are_added(bed: Bed) {
    unseen_towns(&bed, 3).await;
    let round = joined(&bed).await;
    assert_eq!((take(&bed, round, 2).await, take(&bed, round, 2).await), (2, 1));
    let one = RoundFigures { finished: 2, compared: 1, absent: 1, refused: 1 };
    let state = bed.database.report(round, one, &[]).await.unwrap().unwrap();
    assert_eq!((state.figures, state.in_flight, state.progress), (one, 1, RoundProgress::InFlight));
    let state = bed.database.report(round, AGREED, &[]).await.unwrap().unwrap();
    let sum = RoundFigures { finished: 3, compared: 2, ..one };
    assert_eq!((state.figures, state.in_flight, state.progress), (sum, 0, RoundProgress::Complete));
    assert!(bed.database.end_round(round, None).await.unwrap());
    a_period_later(&bed).await;
    let next = joined(&bed).await;
    let state = bed.database.report(next, RoundFigures::default(), &[]).await.unwrap().unwrap();
    assert_eq!((state.figures, state.progress), (RoundFigures::default(), RoundProgress::Complete));
}

async fn round_of_a_dead_replica_is_abandoned_and_the_next_one_begins_after_its_lease(bed: Bed) {
    unseen_towns(&bed, 2).await;
    let round = joined(&bed).await;
    assert_eq!((take(&bed, round, 1).await, take(&bed, round, 1).await), (1, 1));
    bed.database.report(round, AGREED, &[]).await.unwrap();
    let lease = LeaderLease { job: SingletonJob::DriftCheck, number: round };
    assert!(SingletonJobs::renew(&bed.database, lease, LEASE).await.unwrap());
    assert_eq!(progress(&bed, round).await, RoundProgress::InFlight);
    bed.sql("UPDATE gastown_passes SET lease_expires_at = '2001-01-01T00:00:00+00:00'").await;
    assert_eq!(progress(&bed, round).await, RoundProgress::Abandoned);
    assert!(!bed.database.end_round(round, None).await.unwrap());

    a_period_later(&bed).await;
    bed.sql("UPDATE gastown_town_health SET checked_at = '2001-01-01T00:00:00+00:00'").await;
    let next = joined(&bed).await;
    assert_eq!((next, take(&bed, next, 10).await), (round + 1, 2), "its town is checked in the next round");
    assert!(!SingletonJobs::renew(&bed.database, lease, LEASE).await.unwrap());
}

async fn drift_state(bed: &Bed) -> JobState {
    let states = bed.database.states().await.unwrap();
    states.into_iter().find(|state| state.job == SingletonJob::DriftCheck).unwrap()
}

async fn alarm_ends_the_round_for_all_replicas(bed: Bed) {
    unseen_towns(&bed, 3).await;
    let round = joined(&bed).await;
    assert_eq!(take(&bed, round, 2).await, 2);
    assert!(bed.database.end_round(round, Some(Alarm::ManyAbsent)).await.unwrap());
    assert!(!bed.database.end_round(round, Some(Alarm::Refused)).await.unwrap(), "the first alarm stays");
    assert_eq!((take(&bed, round, 2).await, is_joinable(&bed).await), (0, false));
    let ended = RoundProgress::Ended(Some(Alarm::ManyAbsent.into()));
    assert_eq!(progress(&bed, round).await, ended);
    let late =
        bed.database.report(round, RoundFigures { finished: 2, compared: 2, ..AGREED }, &[]).await.unwrap().unwrap();
    assert_eq!(late.progress, ended, "also for a replica that reports later");
    assert_eq!(drift_state(&bed).await.alarm, Some(Alarm::ManyAbsent.into()));

    a_period_later(&bed).await;
    let next = joined(&bed).await;
    assert_eq!(drift_state(&bed).await.alarm, Some(Alarm::ManyAbsent.into()), "until a round ends well");
    assert_eq!(progress(&bed, next).await, RoundProgress::Complete);
    assert!(bed.database.end_round(next, None).await.unwrap());
    assert_eq!(drift_state(&bed).await.alarm, None);
}

async fn round_without_an_alarm_ends_only_when_it_is_complete(bed: Bed) {
    unseen_towns(&bed, 1).await;
    let round = joined(&bed).await;
    assert_eq!(take(&bed, round, 1).await, 1);
    assert!(!bed.database.end_round(round, None).await.unwrap());
    bed.database.report(round, AGREED, &[]).await.unwrap();
    assert!(bed.database.end_round(round, None).await.unwrap());
    assert_eq!(progress(&bed, round).await, RoundProgress::Ended(None));
    assert!(drift_state(&bed).await.ended_at.is_some());
}

async fn replaced_round_accepts_nothing(bed: Bed) {
    unseen_towns(&bed, 1).await;
    let old = joined(&bed).await;
    a_period_later(&bed).await;
    let new = joined(&bed).await;
    assert_eq!(take(&bed, old, 10).await, 0);
    assert_eq!(bed.database.report(old, AGREED, &[]).await.unwrap(), None);
    assert!(!bed.database.end_round(old, Some(Alarm::Refused)).await.unwrap());
    assert_eq!(progress(&bed, new).await, RoundProgress::Complete);
    assert_eq!(take(&bed, new, 10).await, 1);
}

async fn round_of_an_older_version_is_left_alone(bed: Bed) {
    let claim = async |who: &str| {
        SingletonJobs::claim(&bed.database, SingletonJob::DriftCheck, &worker(who), LEASE, EVERY).await.unwrap()
    };
    let alone = claim("old").await.unwrap();
    assert!(!is_joinable(&bed).await);
    a_period_later(&bed).await;
    assert!(!is_joinable(&bed).await, "its lease holds");
    SingletonJobs::finish(&bed.database, alone, None).await.unwrap();
    assert!(is_joinable(&bed).await);
    assert_eq!(claim("old").await, None, "an older version does not make a round that has just begun");
}
