//! One operation, carried to its end: claim, then observe, plan, act, record, until the plan says done.

mod act;
mod observe;
mod pass;
mod setback;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::TownId;
use gastown_domain::ports::{StoreError, WorkerId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::settings::Settings;
use crate::wait::Endings;

/// Carries operations to their end. Cheap to clone; every clone is the same driver.
#[derive(Clone)]
pub struct Driver {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
    endings: Endings,
    stop: CancellationToken,
    callers: Arc<Semaphore>,
}

/// What driving one town came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassReport {
    /// Nothing to do: nothing in flight, not due, or a lease on it holds.
    NotClaimed,
    /// The operation ended, at its goal or rolled back.
    Ended,
    /// Somebody took it over, a destroy or another worker.
    TakenOver,
    /// The process is stopping; the claim was given back.
    GivenBack,
}

/// How one pass ended.
enum Next {
    /// Another pass, after this long.
    Again(Duration),
    /// The operation ended.
    Ended,
}

impl Driver {
    pub(crate) fn new(
        ports: Ports,
        settings: Arc<Settings>,
        worker: WorkerId,
        endings: Endings,
        stop: CancellationToken,
    ) -> Self {
        let callers = Arc::new(Semaphore::new(settings.policy.user_permits));
        Self { ports, settings, worker, endings, stop, callers }
    }

    /// Drives for a caller who waits, within the callers' own permits.
    pub(crate) async fn drive_for_caller(&self, town: TownId) {
        // Closed never; a queue longer than the permits drains as operations end.
        let Ok(_permit) = self.callers.acquire().await else { return };
        self.drive_and_log(town).await;
    }

    /// Drives and logs what it came to, once.
    pub(crate) async fn drive_and_log(&self, town: TownId) {
        match self.drive(town).await {
            Ok(report) => tracing::debug!(town.id = %town, ?report, "drive ended"),
            // The lease runs out and any worker goes on.
            Err(error) => {
                tracing::warn!(town.id = %town, error = &error as &dyn std::error::Error, "drive interrupted");
            }
        }
    }

    /// Claims the town's operation, if it is free and due, and goes on until it ends or is lost.
    ///
    /// Errors: the registry's. Whatever was done until then is found again by looking.
    #[tracing::instrument(skip_all, fields(town.id = %town))]
    pub async fn drive(&self, town: TownId) -> Result<PassReport, StoreError> {
        let policy = &self.settings.policy;
        let Some(mut operation) = self.ports.store.operations.claim(town, &self.worker, policy.lease).await? else {
            return Ok(PassReport::NotClaimed);
        };
        loop {
            if self.stop.is_cancelled() {
                self.ports.store.operations.release(operation.fence()).await?;
                return Ok(PassReport::GivenBack);
            }
            match self.pass(&mut operation).await {
                Ok(Next::Ended) => {
                    self.endings.announce();
                    return Ok(PassReport::Ended);
                }
                Ok(Next::Again(wait)) if wait.is_zero() => {}
                Ok(Next::Again(wait)) => {
                    // Cut short by a shutdown; the loop's head then gives the claim back.
                    let _ = tokio::time::timeout(wait, self.stop.cancelled()).await;
                }
                Err(StoreError::Fenced { .. }) => return Ok(PassReport::TakenOver),
                Err(error) => return Err(error),
            }
        }
    }
}
