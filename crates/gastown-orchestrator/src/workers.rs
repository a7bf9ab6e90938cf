//! Periodic sweeps: operations whose lease expired, towns without the operation they need, rigs that are not applied yet.

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{Backoff, OperationKind, Progress, Recorded, Town, TownId, UnconfirmedCreate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::in_flight_set::InFlightSet;
use crate::keyed_backoff::KeyedBackoff;
use crate::ports::{Provider, Store};
use crate::reconcile::Reconciler;
use crate::rigs::{RigsOutcome, address_of, reconcile_rigs};
use crate::town_service::TownService;

/// The most stranded towns that one sweep reinstates.
const MAX_REINSTATED: u32 = 16;
/// The most operations of a newer version that one sweep logs.
const MAX_LOGGED: u32 = 32;
/// The most towns with unapplied rigs that one sweep reads.
const MAX_UNAPPLIED: usize = 1000;

/// The periodic sweep. A nudge makes an operation start sooner; the sweep makes sure that it starts.
pub struct Workers {
    service: TownService,
    /// Drives removals, because no caller waits for them any more.
    removals: Reconciler,
    permits: Arc<Semaphore>,
    /// The permits for rigs. Clones take minutes and must not use the permits of operations.
    rig_permits: Arc<Semaphore>,
    rigs_in_flight: InFlightSet<TownId>,
    rig_backoff: Arc<KeyedBackoff<TownId>>,
    tasks: TaskTracker,
}

impl Workers {
    /// Returns workers for this service, with permits of their own.
    pub fn new(service: TownService) -> Self {
        let policy = &service.settings.policy;
        let permits = || Arc::new(Semaphore::new(policy.limits.background_permits));
        let (permits, rig_permits) = (permits(), permits());
        let backoff = Backoff { first: policy.backoff.sweep_every, max: policy.backoff.alert.max };
        let rig_backoff = Arc::new(KeyedBackoff::new(backoff));
        let removals = service.reconciler().clone();
        let (rigs_in_flight, tasks) = (InFlightSet::default(), TaskTracker::new());
        Self { service, removals, permits, rig_permits, rigs_in_flight, rig_backoff, tasks }
    }

    /// Returns the same workers with other ports for removals, which queue behind the calls that users wait for (FM-52).
    #[must_use]
    pub fn removing_through(mut self, provider: Provider) -> Self {
        self.removals = self.service.reconciler().through(provider);
        self
    }

    /// Returns the same workers with other ports to the registry, so that their work does not delay callers.
    #[must_use]
    pub fn storing_in(mut self, store: Store) -> Self {
        self.removals = self.removals.storing_in(store.clone());
        self.service = self.service.storing_in(store);
        self
    }

    /// Sweeps until `stop` is cancelled, then waits for the tasks in flight.
    pub async fn run(self, stop: CancellationToken) {
        let policy = &self.service.settings.policy;
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = &error as &dyn Error, "sweep failed");
            }
            // Spread, so that replicas do not sweep in step (FM-52).
            let pause = policy.backoff.sweep_every.mul_f64(0.75 + self.service.ports.env.jitter.fraction() / 2.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Makes one sweep: drives due operations, reinstates stranded towns, applies rigs. Returns the number of operations
    /// that it started to drive. A failure of one part does not stop the others.
    ///
    /// Errors: the registry's, while due operations are claimed. The next sweep comes anyway.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut started = self.drive_due().await;
        match self.reinstate().await {
            Ok(0) => {}
            Ok(_) => started = self.drive_due().await.and_then(|more| started.map(|before| before + more)),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to find stranded towns"),
        }
        if let Err(error) = self.log_left_to_newer().await {
            tracing::warn!(error = &error as &dyn Error, "failed to find operations of a newer version");
        }
        if let Err(error) = self.apply_rigs().await {
            tracing::warn!(error = &error as &dyn Error, "failed to find unapplied rigs");
        }
        started
    }

    /// Claims no more than there are permits for. Each claimed operation is driven at once.
    async fn drive_due(&self) -> Result<usize, StoreError> {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        if free == 0 {
            return Ok(0);
        }
        let Ok(mut permits) = Arc::clone(&self.permits).try_acquire_many_owned(free) else { return Ok(0) };
        let claimed = self.service.reconciler().claim_due(free).await?;
        let started = claimed.len();
        for operation in claimed {
            let permit: Option<OwnedSemaphorePermit> = permits.split(1);
            let reconciler = if operation.kind.removes() { &self.removals } else { self.service.reconciler() }.clone();
            self.tasks.spawn(async move {
                reconciler.reconcile_claimed(operation).await;
                drop(permit);
            });
        }
        Ok(started)
    }

    /// Logs the operations that wait for a newer version (FM-59). During a deployment a newer replica takes them soon. After
    /// a roll back they wait for the next deployment, or for a destroy.
    async fn log_left_to_newer(&self) -> Result<(), StoreError> {
        for operation in self.service.ports.store.operations.left_to_newer(MAX_LOGGED).await? {
            tracing::warn!(
                town.id = %operation.town,
                op.id = %operation.id,
                op.kind = %operation.kind,
                op.phase = %operation.phase,
                op.step = operation.step.as_ref().map(Recorded::as_str),
                "operation of a newer version left alone"
            );
        }
        Ok(())
    }

    /// Inserts an operation for each stranded town: a tombstone that still holds an id, or a town that is provisioning. An
    /// older version or a manual write may have left it (FM-01, FM-11).
    async fn reinstate(&self) -> Result<usize, StoreError> {
        let operations = &self.service.ports.store.operations;
        let mut reinstated = 0;
        for town in operations.stranded(MAX_REINSTATED).await? {
            let (operation, progress) = self.new_operation(&town);
            match operations.reinstate(&operation, &progress).await {
                Ok(true) => {
                    reinstated += 1;
                    tracing::warn!(town.id = %town.id, op.id = %operation.id, op.kind = %operation.kind, "town reinstated");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(town.id = %town.id, error = &error as &dyn Error, "failed to reinstate town");
                }
            }
        }
        Ok(reinstated)
    }

    /// Returns the operation of a stranded town. Earlier calls are not known, so every create counts as unconfirmed.
    fn new_operation(&self, town: &Town) -> (NewOperation, Progress) {
        let (env, policy) = (&self.service.ports.env, &self.service.settings.policy);
        let (kind, timeout) = if town.is_tombstone() {
            (OperationKind::Destroy, None)
        } else {
            (OperationKind::Create, Some(policy.timeouts.create))
        };
        let operation = env.operation_of_service((town.id, &town.owner), kind, timeout);
        let create = UnconfirmedCreate::of_the_past(policy.limits.agreeing_observations);
        (operation, Progress { unconfirmed_volume: create, unconfirmed_machine: create, ..Progress::default() })
    }

    async fn apply_rigs(&self) -> Result<(), StoreError> {
        let free = self.rig_permits.available_permits();
        // Towns that pause are found too, and must not hide the others.
        let limit = (free + self.rig_backoff.len()).min(MAX_UNAPPLIED);
        for town in
            self.service.ports.store.rigs.towns_with_unapplied_rigs(u32::try_from(limit).unwrap_or(u32::MAX)).await?
        {
            if self.rig_backoff.is_pausing(town) {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.rig_permits).try_acquire_owned() else { break };
            let Some(guard) = self.rigs_in_flight.insert(town) else { continue };
            let (service, backoff) = (self.service.clone(), Arc::clone(&self.rig_backoff));
            self.tasks.spawn(async move {
                match apply_rigs_of(&service, town).await {
                    Ok(RigsOutcome::Complete) => backoff.reset(town),
                    Ok(RigsOutcome::Incomplete) => {
                        backoff.record_failure(town, service.ports.env.jitter.fraction());
                    }
                    Err(error) => {
                        tracing::warn!(town.id = %town, error = &error as &dyn Error, "failed to apply rigs");
                    }
                }
                drop((guard, permit));
            });
        }
        Ok(())
    }

    /// Waits until every task of this sweep has ended.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

async fn apply_rigs_of(service: &TownService, town: TownId) -> Result<RigsOutcome, StoreError> {
    let ports = &service.ports;
    let row = ports.store.registry.load(town).await?.filter(|row| !row.is_tombstone());
    match row.and_then(|row| address_of(&service.settings, ports.secrets.towns.as_ref(), &row)) {
        Some(at) => reconcile_rigs(ports, &at).await,
        None => Ok(RigsOutcome::Complete),
    }
}
