//! Finding what other processes left behind: operations whose lease ran out, towns that nobody drives, rigs that are not
//! settled.

use std::sync::Arc;

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{Backoff, OperationKind, Progress, Town, TownId, UnconfirmedCreate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::NEVER;
use crate::driver::Reconciler;
use crate::pauses::KeyedBackoff;
use crate::ports::Provider;
use crate::rigs::{RigsOutcome, address_of, reconcile_rigs};
use crate::seats::InFlightSet;
use crate::town_service::TownService;

/// Towns that are taken up again at most in one sweep.
const REINSTATED_AT_ONCE: u32 = 16;
/// Towns with unsettled rigs that are looked through at most in one sweep.
const MOST_UNSETTLED: usize = 1000;

/// A periodic sweep. Nudges make things sooner; the sweep makes them certain.
pub struct Workers {
    service: TownService,
    /// Drives what removes, for nobody waits for it any more.
    removals: Reconciler,
    permits: Arc<Semaphore>,
    /// For rigs, whose clones take minutes: they do not take the operations' permits.
    rig_permits: Arc<Semaphore>,
    settling: InFlightSet<TownId>,
    unsettled: Arc<KeyedBackoff<TownId>>,
    tasks: TaskTracker,
}

impl Workers {
    /// Workers of this service, within permits of their own.
    pub fn new(service: TownService) -> Self {
        let policy = &service.settings.policy;
        let permits = || Arc::new(Semaphore::new(policy.background_permits));
        let (permits, rig_permits) = (permits(), permits());
        let unsettled = Backoff { first: policy.sweep_every, max: policy.alert_backoff.max };
        let unsettled = Arc::new(KeyedBackoff::new(unsettled));
        let removals = service.driver().clone();
        let (settling, tasks) = (InFlightSet::default(), TaskTracker::new());
        Self { service, removals, permits, rig_permits, settling, unsettled, tasks }
    }

    /// The same, whose removals ask Fly by way of `provider`: in line behind whoever is waited for (FM-52).
    #[must_use]
    pub fn removing_through(mut self, provider: Provider) -> Self {
        self.removals = self.service.driver().through(provider);
        self
    }

    /// Sweeps until `stop` is cancelled, then waits for what it began.
    pub async fn run(self, stop: CancellationToken) {
        let policy = &self.service.settings.policy;
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed");
            }
            // Spread, so that replicas do not sweep in step (FM-52).
            let pause = policy.sweep_every.mul_f64(0.75 + self.service.ports.env.jitter.fraction() / 2.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// One sweep: drives what is due, gives towns that nobody drives an operation again, settles rigs that are not. Answers
    /// how many operations it began to drive. What fails in one part is in the way of no other.
    ///
    /// Errors: the registry's, in what is due; the next sweep comes anyway.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut begun = self.drive_due().await;
        match self.reinstate().await {
            Ok(0) => {}
            Ok(_) => begun = self.drive_due().await.and_then(|more| begun.map(|before| before + more)),
            Err(error) => warn(&error, "towns that nobody drives were not looked for"),
        }
        if let Err(error) = self.reconcile_rigs().await {
            warn(&error, "rigs were not looked through");
        }
        begun
    }

    /// Claims no more than there are permits for: what is claimed is driven at once.
    async fn drive_due(&self) -> Result<usize, StoreError> {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        if free == 0 {
            return Ok(0);
        }
        let Ok(mut permits) = Arc::clone(&self.permits).try_acquire_many_owned(free) else { return Ok(0) };
        let claimed = self.service.driver().claim_due(free).await?;
        let begun = claimed.len();
        for operation in claimed {
            let permit: Option<OwnedSemaphorePermit> = permits.split(1);
            let driver = if operation.kind.removes() { &self.removals } else { self.service.driver() }.clone();
            self.tasks.spawn(async move {
                driver.carry_claimed(operation).await;
                drop(permit);
            });
        }
        Ok(begun)
    }

    /// Tombstones that still hold an id, and towns that are coming up, without an operation: somebody else's write, or an
    /// older version's. Each gets one again (FM-01, FM-11).
    async fn reinstate(&self) -> Result<usize, StoreError> {
        let operations = &self.service.ports.store.operations;
        let mut taken_up = 0;
        for town in operations.stranded(REINSTATED_AT_ONCE).await? {
            let (operation, progress) = self.anew(&town);
            match operations.reinstate(&operation, &progress).await {
                Ok(true) => {
                    taken_up += 1;
                    tracing::warn!(town.id = %town.id, op.id = %operation.id, op.kind = %operation.kind, "nobody drove this town");
                }
                Ok(false) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(town.id = %town.id, error, "nobody drives this town, and it cannot be taken up now");
                }
            }
        }
        Ok(taken_up)
    }

    /// The operation of a stranded town. What was asked of Fly before is not known: all of it is in doubt.
    fn anew(&self, town: &Town) -> (NewOperation, Progress) {
        let (env, policy) = (&self.service.ports.env, &self.service.settings.policy);
        let (kind, patience) = if town.is_tombstone() {
            (OperationKind::Destroy, NEVER)
        } else {
            (OperationKind::Create, policy.create_timeout)
        };
        let operation = NewOperation {
            id: env.ids.operation(),
            town: town.id,
            kind,
            requested_by: town.owner.clone(),
            at: env.clock.now(),
            patience,
        };
        let doubt = UnconfirmedCreate::of_the_past(policy.agreeing_observations);
        (operation, Progress { unconfirmed_volume: doubt.clone(), unconfirmed_machine: doubt, ..Progress::default() })
    }

    async fn reconcile_rigs(&self) -> Result<(), StoreError> {
        let free = self.rig_permits.available_permits();
        // Those that pause are found too, and must not hide the others.
        let wanted = (free + self.unsettled.len()).min(MOST_UNSETTLED);
        for town in
            self.service.ports.store.rigs.towns_with_unapplied_rigs(u32::try_from(wanted).unwrap_or(u32::MAX)).await?
        {
            if self.unsettled.holds(town) {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.rig_permits).try_acquire_owned() else { break };
            let Some(seat) = self.settling.take(town) else { continue };
            let (service, unsettled) = (self.service.clone(), Arc::clone(&self.unsettled));
            self.tasks.spawn(async move {
                match settle(&service, town).await {
                    Ok(RigsOutcome::Complete) => unsettled.end(town),
                    Ok(RigsOutcome::Incomplete) => unsettled.grow(town, service.ports.env.jitter.fraction()),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(town.id = %town, error, "rigs are not settled");
                    }
                }
                drop((seat, permit));
            });
        }
        Ok(())
    }

    /// Waits until everything this sweeper began has ended.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

fn warn(error: &StoreError, what: &'static str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}

async fn settle(service: &TownService, town: TownId) -> Result<RigsOutcome, StoreError> {
    let ports = &service.ports;
    let row = ports.store.registry.load(town).await?.filter(|row| !row.is_tombstone());
    match row.and_then(|row| address_of(&service.settings, ports.keys.towns.as_ref(), &row)) {
        Some(at) => reconcile_rigs(ports, &at).await,
        None => Ok(RigsOutcome::Complete),
    }
}
