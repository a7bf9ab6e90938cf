//! One operation, carried to its end: claim, then observe, plan, act, record, until the plan says done.

mod act;
mod database_time;
mod disown;
mod holding;
mod make;
mod observe;
mod pace;
mod pass;
mod setback;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{StoreError, WorkerId};
use gastown_domain::{Operation, TownId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::ports::{Ports, Provider};
use crate::settings::Settings;
use crate::wait::CompletionNotifier;

/// Carries operations to their end. Cheap to clone; every clone is the same driver.
#[derive(Clone)]
pub struct Reconciler {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
    endings: CompletionNotifier,
    stop: CancellationToken,
    callers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// What driving one town came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileReport {
    /// Nothing to do: nothing in flight, not due, or a lease on it holds.
    NotClaimed,
    /// The operation ended, at its goal or rolled back.
    Ended,
    /// Somebody took it over, a destroy or another worker.
    TakenOver,
    /// It has to wait for a while; the claim was given back, and whoever takes it then goes on.
    Parked {
        /// How long it waits.
        due_in: Duration,
    },
    /// The process is stopping; the claim was given back.
    GivenBack,
}

/// How one pass ended.
enum Next {
    /// Another pass, after this long.
    Again(Duration),
    /// Another pass, after this long, by whoever takes it then: the claim is given back.
    Parked(Duration),
    /// The operation ended.
    Ended,
}

impl Reconciler {
    pub(crate) fn new(
        ports: Ports,
        settings: Arc<Settings>,
        worker: WorkerId,
        endings: CompletionNotifier,
        stop: CancellationToken,
    ) -> Self {
        let callers = Arc::new(Semaphore::new(settings.policy.user_permits));
        let waiting = Arc::new(Semaphore::new(settings.policy.max_waiting));
        Self { ports, settings, worker, endings, stop, callers, waiting }
    }

    /// The same driver, with another way to what is outside.
    pub(crate) fn through(&self, provider: Provider) -> Self {
        Self { ports: Ports { provider, ..self.ports.clone() }, ..self.clone() }
    }

    /// A place among those whose callers wait; none where too many do: then the operation waits in the registry, for the
    /// workers of any process.
    pub(crate) fn place_for_caller(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_owned().ok()
    }

    /// Drives for a caller who waits, within the callers' own permits. What is parked is taken up again as soon as it is
    /// due; its permit is free meanwhile.
    pub(crate) async fn drive_for_caller(&self, town: TownId) {
        loop {
            let report = {
                let Ok(_permit) = self.callers.acquire().await else { return };
                logged(town, self.drive(town).await)
            };
            let Some(ReconcileReport::Parked { due_in }) = report else { return };
            if tokio::time::timeout(due_in, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Takes up to `limit` operations that are due, of whatever town.
    pub(crate) async fn claim_due(&self, limit: u32) -> Result<Vec<Operation>, StoreError> {
        if self.stop.is_cancelled() {
            return Ok(Vec::new());
        }
        self.ports.store.operations.claim_due(&self.worker, self.settings.policy.lease, limit).await
    }

    /// Carries an operation that was claimed, and logs what it came to.
    pub(crate) async fn carry_claimed(&self, operation: Operation) {
        let town = operation.town;
        logged(town, self.carry(operation).await);
    }

    /// Claims the town's operation, if it is free and due, and goes on until it ends or is lost.
    ///
    /// Errors: the registry's. Whatever was done until then is found again by looking.
    pub async fn drive(&self, town: TownId) -> Result<ReconcileReport, StoreError> {
        let lease = self.settings.policy.lease;
        match self.ports.store.operations.claim(town, &self.worker, lease).await? {
            Some(operation) => self.carry(operation).await,
            None => Ok(ReconcileReport::NotClaimed),
        }
    }

    #[tracing::instrument(skip_all, fields(town.id = %operation.town, op.id = %operation.id))]
    async fn carry(&self, mut operation: Operation) -> Result<ReconcileReport, StoreError> {
        operation.progress.unconfirmed_volume.taken_over();
        operation.progress.unconfirmed_machine.taken_over();
        loop {
            if self.stop.is_cancelled() {
                return match self.ports.store.operations.release(operation.fence()).await {
                    Ok(()) => Ok(ReconcileReport::GivenBack),
                    Err(StoreError::Fenced { .. }) => Ok(ReconcileReport::TakenOver),
                    Err(error) => Err(error),
                };
            }
            match self.pass(&mut operation).await {
                Ok(Next::Ended) => {
                    self.endings.announce();
                    return Ok(ReconcileReport::Ended);
                }
                Ok(Next::Parked(due_in)) => return Ok(ReconcileReport::Parked { due_in }),
                Ok(Next::Again(wait)) if wait.is_zero() => {}
                Ok(Next::Again(wait)) => {
                    // Cut short by a shutdown; the loop's head then gives the claim back.
                    let _ = tokio::time::timeout(wait, self.stop.cancelled()).await;
                }
                Err(StoreError::Fenced { .. }) => return Ok(ReconcileReport::TakenOver),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Logs what driving a town came to, once.
fn logged(town: TownId, driven: Result<ReconcileReport, StoreError>) -> Option<ReconcileReport> {
    match driven {
        Ok(report) => {
            tracing::debug!(town.id = %town, ?report, "drive ended");
            Some(report)
        }
        // The lease runs out and any worker goes on.
        Err(error) if error.is_transient() => {
            tracing::warn!(town.id = %town, error = &error as &dyn std::error::Error, "drive interrupted");
            None
        }
        // So it will the next time: the town is stuck until somebody acts.
        Err(error) => {
            tracing::error!(town.id = %town, error = &error as &dyn std::error::Error, "drive broken off by the registry");
            None
        }
    }
}
