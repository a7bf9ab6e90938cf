//! One pass of the drift detector: the batches of one replica.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{DriftRecord, ProviderError, RoundFigures, StoreError, TownHealth};
use gastown_domain::{Drift, DriftVerdict, Town, TownId};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::app_lists::{AppListCache, ListedTown};
use super::assess::{Assessment, assess};
use super::compare_town::{TownComparison, compare_town};
use super::shared_round::{BATCH, Batch, RoundVerdict, SharedRound};
use super::{DriftDetector, DriftReport};

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
    /// The figures of the present batch.
    batch: RoundFigures,
    /// The towns of the present batch that agree, and of which there is nothing to record. Each has the time at which it was
    /// taken.
    agreed: Vec<(TownId, DateTime<Utc>)>,
    /// Absences, recorded only once the whole round is known.
    absences: Vec<(Taken, Assessment)>,
    lists: AppListCache,
    failure: Option<ProviderError>,
}

impl DriftDetector {
    /// Checks batches until the round is over. Returns `None` without a part in it, or if another round has begun.
    pub(super) async fn check_all(&self, round: &SharedRound<'_>) -> Result<Option<DriftReport>, StoreError> {
        let mut tally = Tally::default();
        loop {
            let asked_at = Instant::now();
            let batch = round.take().await?;
            if batch.is_empty() {
                break;
            }
            let is_held = round.hold(asked_at, self.check_batch(batch, &mut tally)).await.is_some();
            let (figures, agreed) = (std::mem::take(&mut tally.batch), std::mem::take(&mut tally.agreed));
            if !is_held || !round.report(figures, &agreed).await? {
                tracing::warn!("drift check abandoned: another one has begun, or its lease is lost");
                return Ok(None);
            }
        }
        let verdict = round.verdict(!tally.absences.is_empty()).await?;
        let has_part = round.is_new() || tally.report.taken > 0;
        let report = self.conclude(tally, verdict).await;
        Ok(has_part.then_some(report))
    }

    async fn check_batch(&self, batch: Batch, tally: &mut Tally) {
        tally.report.taken += batch.len();
        tally.batch.finished = batch.len();
        let apps = batch.iter().filter_map(|(town, ..)| self.settings.apps.app_of(&town.owner).ok());
        let is_full = batch.len() == BATCH as usize;
        tally.lists.fill(self.ports.provider.inventory.as_ref(), &self.large_apps, apps, is_full).await;
        let mut comparisons = self.start_comparisons(batch, tally);
        while let Some(compared) = comparisons.join_next().await {
            self.count(compared, tally).await;
        }
    }

    fn start_comparisons(
        &self,
        batch: Batch,
        tally: &mut Tally,
    ) -> JoinSet<(Taken, Result<TownComparison, ProviderError>)> {
        let permits = Arc::new(Semaphore::new(self.settings.policy.drift.at_once));
        let mut comparisons = JoinSet::new();
        for (town, health, at) in batch {
            let Ok(app) = self.settings.apps.app_of(&town.owner) else {
                tally.report.undecided += 1;
                continue;
            };
            // A list that lags must not end a suspicion.
            let is_suspected = health.suspicion.is_some();
            let listed = if is_suspected { ListedTown::default() } else { tally.lists.of(&app, &town) };
            let (provider, permits) = (self.ports.provider.clone(), Arc::clone(&permits));
            let span = tracing::debug_span!("drift_check", town.id = %town.id);
            let comparison = async move {
                let _permit = permits.acquire().await;
                let compared = timeout(COMPARISON_TIMEOUT, compare_town(&provider, &app, &town, listed)).await;
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
                tally.batch.refused += usize::from(matches!(error, ProviderError::Misconfigured { .. }));
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
        tally.batch.compared += usize::from(assessment.verdict != DriftVerdict::Undecided);
        if assessment.verdict == DriftVerdict::Agrees && assessment.changes.is_none() {
            tally.agreed.push((taken.town.id, taken.at));
        }
        if assessment.is_absence() {
            tally.batch.absent += 1;
            tally.absences.push((taken, assessment));
        } else {
            self.record(taken, assessment, &mut tally.report).await;
        }
    }

    /// Records the absences if the whole round shows that they are plausible.
    async fn conclude(&self, tally: Tally, verdict: RoundVerdict) -> DriftReport {
        let Tally { mut report, absences, failure, .. } = tally;
        if let Some(error) = failure {
            let (undecided, error): (_, &dyn Error) = (report.undecided, &error);
            tracing::warn!(undecided, error, "failed to compare some towns");
        }
        match verdict {
            RoundVerdict::Plausible => {
                for (taken, assessment) in absences {
                    self.record(taken, assessment, &mut report).await;
                }
            }
            RoundVerdict::Alarmed(alarm) => {
                report.alarm = Some(alarm);
                report.undecided += absences.len();
            }
            RoundVerdict::Unconfirmed => {
                report.undecided += absences.len();
                if !absences.is_empty() {
                    tracing::warn!(absent = absences.len(), "drift check incomplete; absences not recorded");
                }
            }
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
            let volume = town.volume_id.as_ref().map(tracing::field::display);
            tracing::error!(town.id = %town.id, volume.id = volume, "volume lost; restore it");
        }
        DriftVerdict::Differs(drift) => {
            tracing::info!(town.id = %town.id, drift = drift.as_str(), "external change recorded");
        }
        DriftVerdict::Agrees | DriftVerdict::Undecided => {}
    }
}
