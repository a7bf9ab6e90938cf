//! One pass of the drift detector.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Alarm, DriftRecord, ProviderError, StoreError, TownHealth};
use gastown_domain::{Drift, DriftVerdict, Town};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::assess::{Assessment, assess};
use super::compare_town::{TownComparison, compare_town};
use super::volume_list_cache::VolumeListCache;
use super::{DriftDetector, DriftReport};
use crate::singleton_jobs::is_alarming;

/// Towns that are taken at once. A replica that dies leaves these uncompared for one round.
const BATCH: u32 = 100;
/// The time limit of one comparison. A slow town delays no other for longer (FM-52).
const COMPARISON_TIMEOUT: Duration = Duration::from_secs(20);

/// A town that was taken for a comparison.
struct Taken {
    town: Town,
    health: TownHealth,
    at: DateTime<Utc>,
}

/// A finished comparison, or the panic of its task.
type Compared = Result<(Taken, Result<TownComparison, ProviderError>), JoinError>;

/// The state of a pass.
#[derive(Default)]
struct Tally {
    report: DriftReport,
    /// Towns that could be compared.
    compared: usize,
    /// Towns for which the provider refused our credentials.
    refused: usize,
    /// Absences, recorded only once the whole pass is known.
    absences: Vec<(Taken, Assessment)>,
    volumes: VolumeListCache,
    failure: Option<ProviderError>,
}

impl DriftDetector {
    pub(super) async fn check_all(&self) -> Result<DriftReport, StoreError> {
        let policy = &self.settings.policy.drift;
        let began = Instant::now();
        let mut tally = Tally::default();
        // Towns that do not fit into one period come first in the next.
        while tally.report.alarm.is_none() && began.elapsed() < policy.every {
            // Everything that this pass has not seen, so that the pass shows the share of absences.
            let unseen_for = policy.every / 4 + began.elapsed();
            let batch = self.ports.store.drift_checks.take_due(BATCH, unseen_for).await?;
            if batch.is_empty() {
                break;
            }
            self.check_batch(batch, &mut tally).await;
            if is_alarming(tally.absences.len(), tally.compared, policy.alarm_threshold) {
                tally.report.alarm = Some(Alarm::ManyAbsent);
            } else if tally.refused == tally.report.taken {
                tally.report.alarm = Some(Alarm::Refused);
            }
        }
        Ok(self.conclude(tally).await)
    }

    async fn check_batch(&self, batch: Vec<(Town, TownHealth, DateTime<Utc>)>, tally: &mut Tally) {
        tally.report.taken += batch.len();
        let apps = batch.iter().filter_map(|(town, ..)| self.settings.apps.app_of(&town.owner).ok());
        tally.volumes.fill(self.ports.provider.inventory.as_ref(), apps).await;
        let mut comparisons = self.start_comparisons(batch, tally);
        while let Some(compared) = comparisons.join_next().await {
            self.count(compared, tally).await;
        }
    }

    fn start_comparisons(
        &self,
        batch: Vec<(Town, TownHealth, DateTime<Utc>)>,
        tally: &mut Tally,
    ) -> JoinSet<(Taken, Result<TownComparison, ProviderError>)> {
        let permits = Arc::new(Semaphore::new(self.settings.policy.drift.at_once));
        let mut comparisons = JoinSet::new();
        for (town, health, at) in batch {
            let Ok(app) = self.settings.apps.app_of(&town.owner) else {
                tally.report.undecided += 1;
                continue;
            };
            let is_listed = tally.volumes.contains(&app, town.volume_id.as_ref());
            let (provider, permits) = (self.ports.provider.clone(), Arc::clone(&permits));
            let span = tracing::debug_span!("drift_check", town.id = %town.id);
            let comparison = async move {
                let _permit = permits.acquire().await;
                let compared = timeout(COMPARISON_TIMEOUT, compare_town(&provider, &app, &town, is_listed)).await;
                (Taken { town, health, at }, compared.unwrap_or(Ok(TownComparison::UNKNOWN)))
            };
            comparisons.spawn(comparison.instrument(span));
        }
        comparisons
    }

    async fn count(&self, compared: Compared, tally: &mut Tally) {
        match compared {
            Ok((taken, Ok(compared))) => self.assess(taken, &compared, tally).await,
            Ok((taken, Err(error))) => {
                tracing::debug!(town.id = %taken.town.id, error = &error as &dyn Error, "failed to compare town");
                tally.report.undecided += 1;
                tally.refused += usize::from(matches!(error, ProviderError::Misconfigured { .. }));
                tally.failure = Some(error);
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "comparison of a town panicked");
                tally.report.undecided += 1;
            }
        }
    }

    async fn assess(&self, taken: Taken, compared: &TownComparison, tally: &mut Tally) {
        let needed = self.settings.policy.drift.agreeing_observations;
        let assessment = assess(&taken.town, &taken.health, compared, needed);
        tally.compared += usize::from(assessment.verdict != DriftVerdict::Undecided);
        if assessment.is_absence() {
            tally.absences.push((taken, assessment));
        } else {
            self.record(taken, assessment, &mut tally.report).await;
        }
    }

    /// Records the absences, unless there are too many.
    async fn conclude(&self, tally: Tally) -> DriftReport {
        let Tally { mut report, compared, absences, failure, .. } = tally;
        if let Some(error) = failure {
            let (undecided, error): (_, &dyn Error) = (report.undecided, &error);
            tracing::warn!(undecided, error, "failed to compare some towns");
        }
        if report.alarm == Some(Alarm::Refused) {
            tracing::error!("provider rejects the token, organization or app; no town can be compared");
        } else if report.alarm.is_some() {
            let absent = absences.len();
            tracing::error!(
                absent,
                compared,
                "too many machines or volumes appear absent; nothing recorded: check app, token and database"
            );
            report.undecided += absent;
            return report;
        }
        for (taken, assessment) in absences {
            self.record(taken, assessment, &mut report).await;
        }
        report
    }

    async fn record(&self, taken: Taken, assessment: Assessment, report: &mut DriftReport) {
        let Assessment { verdict, confirmed, changes } = assessment;
        if let Some(changes) = changes {
            let record = DriftRecord {
                taken_at: taken.at,
                suspicion: changes.agreeing,
                drift: changes.drift,
                change: changes.town,
            };
            if !self.write(&taken.town, &record).await {
                report.undecided += 1;
                return;
            }
            if confirmed {
                log_drift(&taken.town, verdict);
            }
        }
        match verdict {
            DriftVerdict::Agrees => report.agreed += 1,
            DriftVerdict::Undecided => report.undecided += 1,
            DriftVerdict::Differs(_) if confirmed => report.corrected += 1,
            DriftVerdict::Differs(_) => report.suspected += 1,
        }
    }

    /// Writes a record. Returns false if it was not written.
    async fn write(&self, town: &Town, record: &DriftRecord) -> bool {
        match self.ports.store.drift_checks.record(town, record).await {
            Ok(written) => written,
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(town.id = %town.id, error, "failed to record drift check");
                false
            }
        }
    }
}

fn log_drift(town: &Town, verdict: DriftVerdict) {
    match verdict {
        DriftVerdict::Differs(Drift::VolumeLost) => {
            tracing::error!(town.id = %town.id, volume.id = ?town.volume_id, "volume lost; restore it");
        }
        DriftVerdict::Differs(drift) => {
            tracing::info!(town.id = %town.id, drift = drift.as_str(), "external change recorded");
        }
        DriftVerdict::Agrees | DriftVerdict::Undecided => {}
    }
}
