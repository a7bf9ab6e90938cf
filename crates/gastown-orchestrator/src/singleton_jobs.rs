//! Singleton jobs: periodic passes that one replica at a time makes, under a leader lease, with a circuit breaker. The drift
//! checks, which all replicas share, use the same leases and the same breaker.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{Alarm, Jitter, LeaderLease, SingletonJob, SingletonJobs, StoreError, WorkerId};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// A run of a job that a worker may make.
pub(crate) struct JobRun<'a> {
    pub(crate) jobs: &'a dyn SingletonJobs,
    pub(crate) job: SingletonJob,
    pub(crate) worker: &'a WorkerId,
    pub(crate) lease: Duration,
    pub(crate) every: Duration,
}

impl JobRun<'_> {
    /// Runs the job if it is due and free, and renews its lease meanwhile. Returns `None` if another replica runs it or has
    /// taken it over. Then `work` is dropped.
    ///
    /// Errors: the registry's, and those of `work`. The lease then expires.
    pub(crate) async fn make<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<(T, Option<Alarm>), E>> + Send,
    ) -> Result<Option<T>, E> {
        let asked_at = Instant::now();
        let claimed = self.jobs.claim(self.job, self.worker, self.lease, self.every).await?;
        let Some(lease) = claimed else { return Ok(None) };
        let result = tokio::select! {
            biased;
            () = renewed_until_lost(self.jobs, lease, self.lease, asked_at) => {
                tracing::warn!(job = self.job.as_str(), "leader lease lost; job abandoned");
                return Ok(None);
            }
            result = work => result,
        };
        let (report, alarm) = result?;
        self.jobs.finish(lease, alarm).await?;
        Ok(Some(report))
    }
}

/// Renews a lease until it is lost: taken by another worker, or expired before the registry answered. `asked_at` is the time
/// of the request that granted it for `duration`.
pub(crate) async fn renewed_until_lost(
    jobs: &dyn SingletonJobs,
    lease: LeaderLease,
    duration: Duration,
    asked_at: Instant,
) {
    let mut held_until = asked_at + duration;
    loop {
        sleep(duration / 3).await;
        let asked_at = Instant::now();
        match timeout_at(held_until, jobs.renew(lease, duration)).await {
            Ok(Ok(true)) => held_until = asked_at + duration,
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => {
                let error: &dyn Error = &error;
                tracing::warn!(job = lease.job.as_str(), error, "failed to renew leader lease");
            }
        }
    }
}

/// Tries a job again and again until `stop` is cancelled, often enough that no run is long overdue. A shutdown drops the
/// present run, and the next worker starts it anew.
pub(crate) async fn until_stopped<F: Future<Output = ()> + Send>(
    stop: &CancellationToken,
    jitter: &dyn Jitter,
    every: Duration,
    mut run: impl FnMut() -> F,
) {
    loop {
        // Spread, so that replicas do not ask in step (FM-52).
        let pause = (every / 4).mul_f64(0.75 + jitter.fraction() / 2.0);
        let next_run = async {
            sleep(pause).await;
            run().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next_run => {}
        }
    }
}

/// The circuit breaker: returns true if so many of the seen resources are wrong that our own mistake is likelier than a
/// catastrophe (FM-33, FM-55).
pub(crate) const fn is_alarming(wrong: usize, seen: usize, least: u32) -> bool {
    wrong >= least as usize && wrong.saturating_mul(3) > seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_or_a_small_share_raise_no_alarm() {
        for (wrong, seen, want) in [(0, 0, false), (4, 4, false), (5, 5, true), (5, 14, true), (5, 15, false)] {
            assert_eq!(is_alarming(wrong, seen, 5), want, "{wrong} of {seen}");
        }
    }
}
