//! The results of a batch: judged, written together, and followed by the restarts.

use std::error::Error;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{FailedCheck, HealthCheck, HealthRecord, Measurement, StoreError};
use gastown_domain::{
    HealthObservation, HealthReason, HealthState, HealthVerdict, Recorded, RestartCount, judge_health,
};
use tokio::task::JoinSet;

use super::ask::Asked;
use super::observe::Observed;
use super::{HealthMonitor, HealthReport};
use crate::service::RestartSync;

/// A restart that follows from a result.
struct WantedRestart {
    check: HealthCheck,
    sync: RestartSync,
    failed: FailedCheck,
}

impl HealthMonitor {
    /// Waits for the answers of a batch, writes the results, and requests the restarts.
    pub(super) async fn finish(
        &self,
        mark: DateTime<Utc>,
        taken_at: DateTime<Utc>,
        mut asking: JoinSet<Asked>,
    ) -> Result<HealthReport, StoreError> {
        let mut answers = Vec::with_capacity(asking.len());
        while let Some(asked) = asking.join_next().await {
            match asked {
                Ok(asked) => answers.push(asked),
                Err(error) => tracing::error!(error = &error as &dyn Error, "health check of a town panicked"),
            }
        }
        let observed = self.observe(answers).await;
        let mut report = counted(&observed);
        let next_check_at = taken_at + self.settings.policy.monitor.every;
        let (records, wanted) = self.judge(observed, taken_at, next_check_at);
        let written = self.ports.store.health_checks.record(mark, &records).await?;
        report.discarded = records.len() - written.len();
        let written: std::collections::HashSet<_> = written.into_iter().collect();
        for record in records.iter().filter(|record| record.is_news && written.contains(&record.town)) {
            log_news(record);
        }
        for wanted in wanted.into_iter().filter(|wanted| written.contains(&wanted.check.town)) {
            report.restarted += usize::from(self.restart(wanted).await);
        }
        self.measure(&report);
        Ok(report)
    }

    fn judge(
        &self,
        observed: Vec<Observed>,
        taken_at: DateTime<Utc>,
        next_check_at: DateTime<Utc>,
    ) -> (Vec<HealthRecord>, Vec<WantedRestart>) {
        let (mut records, mut wanted) = (Vec::with_capacity(observed.len()), Vec::new());
        for (check, seen) in observed {
            let verdict = judge_health(&check.health, seen, taken_at, &self.settings.policy.monitor.limits);
            let HealthVerdict { health, is_news, restart } = verdict;
            let next_check_at = if seen == HealthObservation::NotRunning { None } else { Some(next_check_at) };
            records.push(HealthRecord { town: check.town, health, is_news, next_check_at });
            if let (Some(count), Some(next_check_at)) = (restart, next_check_at) {
                wanted.push(wanted_restart(check, seen, count, next_check_at));
            }
        }
        (records, wanted)
    }

    /// Requests a restart. Returns true if it was accepted. One that was not is requested again after the next check.
    async fn restart(&self, wanted: WantedRestart) -> bool {
        let WantedRestart { check, sync, failed } = wanted;
        let town = (check.town, &check.owner);
        match self.service.restart_town(town, sync, Some(failed)).await {
            Ok(is_accepted) => is_accepted,
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(town.id = %check.town, error, "failed to request restart");
                false
            }
        }
    }

    fn measure(&self, report: &HealthReport) {
        let HealthReport { healthy, failed, unknown, restarted, .. } = *report;
        self.ports.env.metrics.record(Measurement::HealthChecked { healthy, failed, unknown, restarted });
    }
}

/// A sandbox that answers may still be able to sync. One that does not would only cost the time limit.
const fn wanted_restart(
    check: HealthCheck,
    seen: HealthObservation,
    count: RestartCount,
    next_check_at: DateTime<Utc>,
) -> WantedRestart {
    let sync = match seen {
        HealthObservation::Failed(
            HealthReason::NotReady | HealthReason::DaemonDown | HealthReason::DoltDown | HealthReason::DiskFull,
        ) => RestartSync::Try,
        HealthObservation::Failed(HealthReason::NoAnswer | HealthReason::WrongAnswer | HealthReason::KeyRefused)
        | HealthObservation::Healthy
        | HealthObservation::CannotAsk
        | HealthObservation::NotRunning => RestartSync::Skip,
    };
    WantedRestart { check, sync, failed: FailedCheck { count, next_check_at } }
}

fn counted(observed: &[Observed]) -> HealthReport {
    let mut report = HealthReport { batches: 1, taken: observed.len(), ..HealthReport::default() };
    for (_, seen) in observed {
        match seen {
            HealthObservation::Healthy => report.healthy += 1,
            HealthObservation::Failed(_) => report.failed += 1,
            HealthObservation::CannotAsk => report.unknown += 1,
            HealthObservation::NotRunning => report.not_running += 1,
        }
    }
    report
}

fn log_news(record: &HealthRecord) {
    let (town, failures) = (record.town, record.health.failures);
    let reason = record.health.reason.as_ref().map(Recorded::as_str);
    match record.health.state.known() {
        Some(HealthState::Unhealthy) => {
            tracing::warn!(town.id = %town, health.reason = reason, failures, "town unhealthy, restart requested");
        }
        Some(HealthState::Error) => {
            let restarts = record.health.restarts;
            tracing::error!(town.id = %town, health.reason = reason, restarts, "town not mended by restarts");
        }
        Some(HealthState::Healthy) => tracing::info!(town.id = %town, "town recovered"),
        Some(HealthState::Unknown) | None => {}
    }
}
