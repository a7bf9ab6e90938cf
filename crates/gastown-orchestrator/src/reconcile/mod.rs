//! Driving one operation to its end: claim, then observe, decide, execute, apply and store until it ends.
//!
//! `observe` reads the provider in doubt, `decide` and `apply` are pure, `execute` makes one call. Start with `reconciler`.

mod accepted;
mod apply;
mod attempts;
mod cleanup;
mod database_time;
mod deadline;
mod decide;
mod drive;
mod ending;
mod execute;
mod knowledge;
mod known_apps;
mod lease;
mod observe;
mod outcome;
mod prepare;
mod reconciler;
mod regions;
mod retry_policy;
#[cfg(test)]
mod samples;
mod update;

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{StoreError, WorkerId};
use gastown_domain::{Operation, TownId, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::accepted::DriverSlot;
use self::known_apps::KnownApps;
use self::reconciler::log_drive;
use crate::completion_notifier::CompletionNotifier;
use crate::ports::{Ports, Provider, Store};
use crate::settings::Settings;

/// Time that a call takes without rate limits. Everything beyond it counts as time in a queue.
const UNDISTURBED: Duration = Duration::from_secs(4);

/// Drives operations to their end. Cheap to clone; every clone shares its permits.
#[derive(Clone)]
pub struct Reconciler {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
    completions: CompletionNotifier,
    stop: CancellationToken,
    callers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    apps: KnownApps,
}

/// The end of one drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileReport {
    /// Nothing was in flight or due, or a lease holds.
    NotClaimed,
    /// The operation ended, at its goal or rolled back.
    Ended,
    /// A destroy or another worker took the operation over.
    TakenOver,
    /// The operation waits, and its claim was released.
    Parked {
        /// Time until it is due.
        due_in: Duration,
    },
    /// The process is stopping, and the claim was released.
    Released,
}

impl Reconciler {
    pub(crate) fn new(
        ports: Ports,
        settings: Arc<Settings>,
        worker: WorkerId,
        completions: CompletionNotifier,
        stop: CancellationToken,
    ) -> Self {
        let callers = Arc::new(Semaphore::new(settings.policy.limits.user_permits));
        let waiting = Arc::new(Semaphore::new(settings.policy.limits.waiting));
        Self { ports, settings, worker, completions, stop, callers, waiting, apps: KnownApps::default() }
    }

    /// Returns the same reconciler with other ports to the provider.
    pub(crate) fn through(&self, provider: Provider) -> Self {
        let mut reconciler = self.clone();
        reconciler.ports.provider = provider;
        reconciler
    }

    /// Returns the same reconciler with other ports to the registry.
    pub(crate) fn storing_in(&self, store: Store) -> Self {
        let mut reconciler = self.clone();
        reconciler.ports.store = store;
        reconciler
    }

    /// Returns the same reconciler for a town of this user, whose calls take turns with those of other users.
    fn for_user(&self, user: &UserId) -> Self {
        self.through(self.ports.provider.for_user(user))
    }

    /// Reserves a foreground slot, or returns `None` when all are taken. Then the operation waits in the registry for the
    /// workers of any process.
    pub(crate) fn reserve_foreground_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_owned().ok()
    }

    /// Drives the town's operation for a waiting caller, within the permits of callers. A parked operation is taken up
    /// again once it is due, and its permit is free meanwhile.
    pub(crate) async fn reconcile_for_caller(&self, town: TownId) {
        loop {
            let report = {
                let Ok(_permit) = self.callers.acquire().await else { return };
                log_drive(town, self.reconcile(town).await)
            };
            let Some(ReconcileReport::Parked { due_in }) = report else { return };
            if tokio::time::timeout(due_in, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Claims up to `limit` operations that are due.
    pub(crate) async fn claim_due(&self, limit: u32) -> Result<Vec<Operation>, StoreError> {
        if self.stop.is_cancelled() {
            return Ok(Vec::new());
        }
        self.ports.store.operations.claim_due(&self.worker, self.settings.policy.timeouts.lease, limit).await
    }

    /// Drives a claimed operation and logs the end.
    pub(crate) async fn reconcile_claimed(&self, operation: Operation) {
        let town = operation.town;
        log_drive(town, self.run(operation).await);
    }

    /// Claims the town's operation if it is free and due, and drives it until it ends, waits or is lost.
    ///
    /// Errors: the registry's. The next observation finds what was done until then.
    pub async fn reconcile(&self, town: TownId) -> Result<ReconcileReport, StoreError> {
        let lease = self.settings.policy.timeouts.lease;
        match self.ports.store.operations.claim(town, &self.worker, lease).await? {
            Some(operation) => self.run(operation).await,
            None => Ok(ReconcileReport::NotClaimed),
        }
    }
}

/// Returns the time since `began` that was spent in rate limits.
fn queued_since(began: Instant) -> Duration {
    began.elapsed().saturating_sub(UNDISTURBED)
}
