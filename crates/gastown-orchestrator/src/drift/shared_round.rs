//! The part of one replica in a round of drift checks, which all replicas share.
//!
//! The registry adds up the figures of all replicas. So the circuit breaker sees every absence of a round, whichever replica
//! found it (FM-33). Absences are recorded only once every town of the round has been reported.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Alarm, DriftChecks, DriftRound, LeaderLease, RoundFigures, RoundProgress, RoundState, SingletonJob, SingletonJobs,
    StoreError, TownHealth,
};
use gastown_domain::{Recorded, Town, TownId};
use tokio::time::{Instant, sleep};

use crate::ports::Store;
use crate::settings::Policy;
use crate::singleton_jobs::{is_alarming, renewed_until_lost};

/// Towns that are taken at once. A replica that dies leaves these uncompared for one round.
pub(super) const BATCH: u32 = 100;
/// The longest pause between two reads of a round that other replicas still work on.
const POLL: Duration = Duration::from_secs(1);

/// A batch of towns: each with its health and the time at which it was taken.
pub(super) type Batch = Vec<(Town, TownHealth, DateTime<Utc>)>;

/// A round that this replica takes part in.
pub(super) struct SharedRound<'a> {
    checks: &'a dyn DriftChecks,
    jobs: &'a dyn SingletonJobs,
    policy: &'a Policy,
    round: DriftRound,
    joined_at: Instant,
}

/// The verdict on the absences of a whole round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoundVerdict {
    /// They are few enough to be recorded.
    Plausible,
    /// The circuit breaker has stopped the round.
    Alarmed(Alarm),
    /// The round is not known as a whole.
    Unconfirmed,
}

impl<'a> SharedRound<'a> {
    /// Joins the present round, or begins one that is due. Returns `None` if there is nothing to do.
    pub(super) async fn join(store: &'a Store, policy: &'a Policy) -> Result<Option<Self>, StoreError> {
        let (checks, jobs) = (store.drift_checks.as_ref(), store.jobs.as_ref());
        let joined_at = Instant::now();
        let round = checks.join_round(policy.drift.every).await?;
        Ok(round.map(|round| Self { checks, jobs, policy, round, joined_at }))
    }

    /// Returns true if this replica began the round.
    pub(super) const fn is_new(&self) -> bool {
        self.round.is_new
    }

    /// Takes a batch. Returns no towns once the round is over. Towns that do not fit into one period come first in the next.
    pub(super) async fn take(&self) -> Result<Batch, StoreError> {
        let age = self.round.age + self.joined_at.elapsed();
        if age >= self.policy.drift.every {
            return Ok(Batch::new());
        }
        // Everything that this round has not seen, so that its figures show the share of absences.
        let unseen_for = self.policy.drift.every / 4 + age;
        self.checks.take_due(self.round.number, BATCH, unseen_for, self.policy.timeouts.lease).await
    }

    /// Runs `work` on a batch that was requested at `asked_at`, and holds the round meanwhile. Returns `None` and drops `work`
    /// if the lease is lost.
    pub(super) async fn hold<T>(&self, asked_at: Instant, work: impl Future<Output = T> + Send) -> Option<T> {
        let lease = LeaderLease { job: SingletonJob::DriftCheck, number: self.round.number };
        tokio::select! {
            biased;
            () = renewed_until_lost(self.jobs, lease, self.policy.timeouts.lease, asked_at) => None,
            result = work => Some(result),
        }
    }

    /// Reports a batch, and ends the round if the sums are alarming. Returns false if another round has begun.
    pub(super) async fn report(
        &self,
        batch: RoundFigures,
        agreed: &[(TownId, DateTime<Utc>)],
    ) -> Result<bool, StoreError> {
        let Some(state) = self.checks.report(self.round.number, batch, agreed).await? else { return Ok(false) };
        if let Some(alarm) = self.alarm_of(&state) {
            self.end(Some(alarm), state.figures).await?;
        }
        Ok(true)
    }

    /// Returns the verdict once it is known, and ends the round. Without absences of its own, a replica does not wait for
    /// others.
    pub(super) async fn verdict(&self, has_absences: bool) -> Result<RoundVerdict, StoreError> {
        loop {
            let state = self.checks.report(self.round.number, RoundFigures::default(), &[]).await?;
            let Some(state) = state else { return Ok(RoundVerdict::Unconfirmed) };
            match state.progress {
                RoundProgress::Ended(None) => return Ok(RoundVerdict::Plausible),
                RoundProgress::Ended(Some(Recorded::Known(alarm))) => return Ok(RoundVerdict::Alarmed(alarm)),
                RoundProgress::Ended(Some(Recorded::Newer(_))) | RoundProgress::Abandoned => {
                    return Ok(RoundVerdict::Unconfirmed);
                }
                // The next read finds the end, or a batch that another replica has taken meanwhile.
                RoundProgress::Complete => self.end(self.alarm_of(&state), state.figures).await?,
                RoundProgress::InFlight if has_absences => sleep(POLL.min(self.policy.drift.every / 4)).await,
                RoundProgress::InFlight => return Ok(RoundVerdict::Plausible),
            }
        }
    }

    /// Ends the round. The replica that ends it logs the alarm.
    async fn end(&self, alarm: Option<Alarm>, figures: RoundFigures) -> Result<(), StoreError> {
        let has_ended = self.checks.end_round(self.round.number, alarm).await?;
        match alarm.filter(|_| has_ended) {
            Some(Alarm::Refused) => {
                tracing::error!("provider rejects the token, organization or app; no town can be compared");
            }
            Some(Alarm::ManyAbsent | Alarm::ManyOrphans) => tracing::error!(
                absent = figures.absent,
                compared = figures.compared,
                "too many machines or volumes appear absent; nothing recorded: check app, token and database"
            ),
            None => {}
        }
        Ok(())
    }

    /// Returns the alarm that the figures raise, even if every town in flight agrees with its row. Otherwise a small batch
    /// that is reported first would stop a round.
    fn alarm_of(&self, state: &RoundState) -> Option<Alarm> {
        let RoundFigures { finished, compared, absent, refused } = state.figures;
        if is_alarming(absent, compared + state.in_flight, self.policy.drift.alarm_threshold) {
            Some(Alarm::ManyAbsent)
        } else if finished > 0 && refused == finished + state.in_flight {
            Some(Alarm::Refused)
        } else {
            None
        }
    }
}
