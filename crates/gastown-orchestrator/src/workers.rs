//! Finding what other processes left behind: operations whose lease ran out, rigs that are not settled.

use std::sync::Arc;

use gastown_domain::TownId;
use gastown_domain::ports::StoreError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rigs::{address_of, settle_rigs};
use crate::seats::Seats;
use crate::town_service::TownService;

/// A periodic sweep. Nudges make things sooner; the sweep makes them certain.
pub struct Workers {
    service: TownService,
    permits: Arc<Semaphore>,
    /// For rigs, whose clones take minutes: they do not take the operations' permits.
    rig_permits: Arc<Semaphore>,
    settling: Seats<TownId>,
    tasks: TaskTracker,
}

impl Workers {
    /// Workers of this service, within permits of their own.
    pub fn new(service: TownService) -> Self {
        let permits = || Arc::new(Semaphore::new(service.settings.policy.background_permits));
        let (permits, rig_permits) = (permits(), permits());
        Self { service, permits, rig_permits, settling: Seats::default(), tasks: TaskTracker::new() }
    }

    /// Sweeps until `stop` is cancelled, then waits for what it began.
    pub async fn run(self, stop: CancellationToken) {
        let policy = &self.service.settings.policy;
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed");
            }
            // Spread, so that replicas do not sweep in step (FM-52).
            let pause = policy.sweep_every.mul_f64(0.75 + self.service.ports.chance.dice.fraction() / 2.0);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// One sweep: drives what is due, settles rigs that are not. Answers how many operations it began to drive.
    ///
    /// Errors: the registry's; the next sweep comes anyway.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        let mut begun = 0;
        for town in self.service.ports.store.operations.due(free).await? {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { break };
            let driver = self.service.driver().clone();
            self.tasks.spawn(async move {
                driver.drive_and_log(town).await;
                drop(permit);
            });
            begun += 1;
        }
        let free = u32::try_from(self.rig_permits.available_permits()).unwrap_or(u32::MAX);
        for town in self.service.ports.store.rigs.unsettled(free).await? {
            let Ok(permit) = Arc::clone(&self.rig_permits).try_acquire_owned() else { break };
            let Some(seat) = self.settling.take(town) else { continue };
            let service = self.service.clone();
            self.tasks.spawn(async move {
                if let Err(error) = settle(&service, town).await {
                    tracing::warn!(town.id = %town, error = &error as &dyn std::error::Error, "rigs are not settled");
                }
                drop((seat, permit));
            });
        }
        Ok(begun)
    }

    /// Waits until everything this sweeper began has ended.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

async fn settle(service: &TownService, town: TownId) -> Result<(), StoreError> {
    let ports = &service.ports;
    let Some(row) = ports.store.registry.load(town).await?.filter(|row| !row.is_tombstone()) else { return Ok(()) };
    match address_of(&service.settings, ports.keys.towns.as_ref(), &row) {
        Some(at) => settle_rigs(ports, &at).await,
        None => Ok(()),
    }
}
