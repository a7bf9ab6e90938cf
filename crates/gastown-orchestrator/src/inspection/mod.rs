//! Settled towns are compared with Fly from time to time, and a row that does not tell the truth is told it (FM-23).
//!
//! A pass looks at each town (`look`), judges what it saw (`judgement`, pure) and writes that down. Nothing is believed
//! that was seen only once, and no absence where too much is absent at once (FM-33). It changes rows only, never Fly.

mod judgement;
mod look;
mod shelves;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Alarm, DriftRecord, ProviderError, SingletonJob, StoreError, TownHealth, WorkerId};
use gastown_domain::{Drift, Town};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::judgement::{Judgement, Kind, judge};
use self::look::{Look, look};
use self::shelves::VolumeListCache;
use crate::passes::{Turn, is_alarming, until_stopped};
use crate::ports::Ports;
use crate::settings::Settings;

/// Towns that are taken at once: what a replica that dies leaves unseen for one round.
const BATCH: u32 = 100;
/// One town's look takes at most this long; a slow one keeps no other waiting for more (FM-52).
const LOOK_PATIENCE: Duration = Duration::from_secs(20);

/// Compares settled towns with Fly. Cheap to clone; every clone is the same inspector.
#[derive(Clone)]
pub struct DriftDetector {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
}

/// What one pass came to; the counts after `taken` add up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriftReport {
    /// Towns that were taken.
    pub taken: usize,
    /// Those that are as their row says, or lost what they are known to have lost.
    pub agreed: usize,
    /// Those of which nothing could be said or written: unclear, on their way, or an operation came in between.
    pub undecided: usize,
    /// Those that look unlike their row, but were not seen so often enough.
    pub suspected: usize,
    /// Those whose row was told the truth.
    pub corrected: usize,
    /// Why the pass was broken off.
    pub alarm: Option<Alarm>,
}

/// A town that was taken for a look.
struct Taken {
    town: Town,
    health: TownHealth,
    at: DateTime<Utc>,
}

/// What has been seen in a pass so far.
#[derive(Default)]
struct Tally {
    report: DriftReport,
    /// Towns that could be compared.
    compared: usize,
    /// Towns of which Fly refused to tell us anything.
    refused: usize,
    /// Nothing of these is written before the whole pass is known.
    absences: Vec<(Taken, Judgement)>,
    shelves: VolumeListCache,
    failure: Option<ProviderError>,
}

impl DriftDetector {
    /// An inspector on these ports.
    pub fn new(ports: Ports, settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self { ports, settings, worker }
    }

    /// Makes passes until `stop` is cancelled, whenever one is due and no other replica is at it.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.settings.policy.inspection.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) => tracing::debug!(?report, "towns were compared with Fly"),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "towns could not be compared with Fly");
            }
        }
    }

    /// One pass over every settled town that was not compared lately. `None` where it is not due, another replica is at it,
    /// or took it over.
    ///
    /// Errors: the registry's; the next pass comes anyway.
    pub async fn pass(&self) -> Result<Option<DriftReport>, StoreError> {
        let policy = &self.settings.policy;
        let turn = Turn {
            passes: self.ports.store.passes.as_ref(),
            pass: SingletonJob::DriftCheck,
            worker: &self.worker,
            lease: policy.lease,
            every: policy.inspection.every,
        };
        let work = async { self.inspect().await.map(|report| (report, report.alarm)) };
        turn.make::<_, StoreError>(work).await
    }

    async fn inspect(&self) -> Result<DriftReport, StoreError> {
        let policy = &self.settings.policy.inspection;
        let began = Instant::now();
        let mut tally = Tally::default();
        // What does not fit into one period is the longest unseen of the next.
        while tally.report.alarm.is_none() && began.elapsed() < policy.every {
            // Everything but what this very pass has seen, so that a pass shows how many of all are absent.
            let unseen_for = policy.every / 4 + began.elapsed();
            let batch = self.ports.store.drift_checks.take_due(BATCH, unseen_for).await?;
            if batch.is_empty() {
                break;
            }
            self.inspect_batch(batch, &mut tally).await;
            if is_alarming(tally.absences.len(), tally.compared, policy.alarm_threshold) {
                tally.report.alarm = Some(Alarm::ManyAbsent);
            } else if tally.refused == tally.report.taken {
                tally.report.alarm = Some(Alarm::Refused);
            }
        }
        Ok(self.conclude(tally).await)
    }

    async fn inspect_batch(&self, batch: Vec<(Town, TownHealth, DateTime<Utc>)>, tally: &mut Tally) {
        tally.report.taken += batch.len();
        let apps = batch.iter().filter_map(|(town, ..)| self.settings.apps.app_of(&town.owner).ok());
        tally.shelves.fill(self.ports.provider.inventory.as_ref(), apps).await;
        let seats = Arc::new(Semaphore::new(self.settings.policy.inspection.at_once));
        let mut looks = JoinSet::new();
        for (town, health, at) in batch {
            let Ok(app) = self.settings.apps.app_of(&town.owner) else {
                tally.report.undecided += 1;
                continue;
            };
            let is_listed = tally.shelves.show(&app, town.volume_id.as_ref());
            let (provider, seats) = (self.ports.provider.clone(), Arc::clone(&seats));
            looks.spawn(async move {
                let _seat = seats.acquire().await;
                let look = timeout(LOOK_PATIENCE, look(&provider, &app, &town, is_listed)).await;
                let look = look.unwrap_or(Ok(Look::UNCLEAR));
                (Taken { town, health, at }, look)
            });
        }
        while let Some(looked) = looks.join_next().await {
            match looked {
                Ok((taken, Ok(look))) => self.weigh(taken, &look, tally).await,
                Ok((taken, Err(error))) => {
                    tracing::debug!(town.id = %taken.town.id, error = &error as &dyn Error, "a town's look failed");
                    tally.report.undecided += 1;
                    tally.refused += usize::from(matches!(error, ProviderError::Misconfigured { .. }));
                    tally.failure = Some(error);
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn Error, "a town's look broke off");
                    tally.report.undecided += 1;
                }
            }
        }
    }

    async fn weigh(&self, taken: Taken, look: &Look, tally: &mut Tally) {
        let judgement = judge(&taken.town, &taken.health, look, self.settings.policy.inspection.agreeing_observations);
        tally.compared += usize::from(judgement.kind != Kind::Undecided);
        if judgement.is_absence() {
            tally.absences.push((taken, judgement));
        } else {
            self.settle(taken, judgement, &mut tally.report).await;
        }
    }

    /// Now that everything was seen: whether what is absent is believed.
    async fn conclude(&self, tally: Tally) -> DriftReport {
        let Tally { mut report, compared, absences, failure, .. } = tally;
        if let Some(error) = failure {
            let (undecided, error): (_, &dyn Error) = (report.undecided, &error);
            tracing::warn!(undecided, error, "some towns could not be compared with Fly");
        }
        if report.alarm == Some(Alarm::Refused) {
            tracing::error!("Fly refuses our token, organization or app: no town can be compared");
        } else if report.alarm.is_some() {
            let absent = absences.len();
            tracing::error!(
                absent,
                compared,
                "many machines or volumes read as absent at once: none of it is believed; look at the app, the token and \
                 the database"
            );
            report.undecided += absent;
            return report;
        }
        for (taken, judgement) in absences {
            self.settle(taken, judgement, &mut report).await;
        }
        report
    }

    /// Writes a judgement down, where there is something to write.
    async fn settle(&self, taken: Taken, judgement: Judgement, report: &mut DriftReport) {
        let Judgement { kind, outcome } = judgement;
        if let Some((suspicion, drift, change)) = outcome {
            let finding = DriftRecord { taken_at: taken.at, suspicion, drift, change };
            match self.ports.store.drift_checks.record(&taken.town, &finding).await {
                Ok(true) => announce(&taken.town, kind),
                Ok(false) => {
                    report.undecided += 1;
                    return;
                }
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::warn!(town.id = %taken.town.id, error, "what was seen of a town was not written down");
                    report.undecided += 1;
                    return;
                }
            }
        }
        match kind {
            Kind::Agrees => report.agreed += 1,
            Kind::Undecided => report.undecided += 1,
            Kind::Suspects(_) => report.suspected += 1,
            Kind::Believes(_) => report.corrected += 1,
        }
    }
}

fn announce(town: &Town, kind: Kind) {
    match kind {
        Kind::Believes(Drift::VolumeLost) => {
            tracing::error!(town.id = %town.id, volume.id = ?town.volume_id, "a town's volume is lost: restore it");
        }
        Kind::Believes(drift) => {
            tracing::info!(town.id = %town.id, drift = drift.as_str(), "a row was told what happened behind our back");
        }
        Kind::Agrees | Kind::Undecided | Kind::Suspects(_) => {}
    }
}
