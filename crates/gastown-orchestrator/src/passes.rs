//! Periodic passes over everything: one replica at a time makes one, and too much wrong at once is believed by none.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{Alarm, Jitter, LeaderLease, SingletonJob, SingletonJobs, StoreError, WorkerId};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// A turn at a pass that a worker would like to have.
pub(crate) struct Turn<'a> {
    pub(crate) passes: &'a dyn SingletonJobs,
    pub(crate) pass: SingletonJob,
    pub(crate) worker: &'a WorkerId,
    pub(crate) lease: Duration,
    pub(crate) every: Duration,
}

impl Turn<'_> {
    /// Makes the pass, where it is due and nobody else is at it, and keeps its lease meanwhile. `None` where it is not this
    /// worker's, or no longer: then the work is dropped where it is.
    ///
    /// Errors: the registry's, and the work's own; the lease then runs out by itself.
    pub(crate) async fn make<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<(T, Option<Alarm>), E>> + Send,
    ) -> Result<Option<T>, E> {
        let asked_at = Instant::now();
        let begun = self.passes.claim(self.pass, self.worker, self.lease, self.every).await?;
        let Some(claim) = begun else { return Ok(None) };
        let result = tokio::select! {
            biased;
            () = self.keep(claim, asked_at + self.lease) => {
                tracing::warn!(pass = self.pass.as_str(), "the pass was taken over or its lease could not be kept");
                return Ok(None);
            }
            result = work => result,
        };
        let (report, alarm) = result?;
        self.passes.finish(claim, alarm).await?;
        Ok(Some(report))
    }

    /// Prolongs the lease until it is lost: taken by somebody else, or run out before the registry answered.
    async fn keep(&self, claim: LeaderLease, mut held_until: Instant) {
        loop {
            sleep(self.lease / 3).await;
            let asked_at = Instant::now();
            match timeout_at(held_until, self.passes.renew(claim, self.lease)).await {
                Ok(Ok(true)) => held_until = asked_at + self.lease,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    let error: &dyn Error = &error;
                    tracing::warn!(pass = self.pass.as_str(), error, "the pass's lease was not prolonged");
                }
            }
        }
    }
}

/// Tries for a pass again and again until `stop` is cancelled, often enough that one is never long overdue. What runs then
/// is dropped where it is; whoever makes the next pass begins anew.
pub(crate) async fn until_stopped<F: Future<Output = ()> + Send>(
    stop: &CancellationToken,
    jitter: &dyn Jitter,
    every: Duration,
    mut pass: impl FnMut() -> F,
) {
    loop {
        // Spread, so that replicas do not ask in step (FM-52).
        let pause = (every / 4).mul_f64(0.75 + jitter.fraction() / 2.0);
        let paused_and_passed = async {
            sleep(pause).await;
            pass().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = paused_and_passed => {}
        }
    }
}

/// Whether so many of what a pass saw are wrong that a mistake of ours is likelier than a catastrophe (FM-33, FM-55).
pub(crate) const fn is_alarming(wrong: usize, seen: usize, least: u32) -> bool {
    wrong >= least as usize && wrong.saturating_mul(3) > seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_no_alarm_and_neither_is_a_small_part() {
        for (wrong, seen, want) in [(0, 0, false), (4, 4, false), (5, 5, true), (5, 14, true), (5, 15, false)] {
            assert_eq!(is_alarming(wrong, seen, 5), want, "{wrong} of {seen}");
        }
    }
}
