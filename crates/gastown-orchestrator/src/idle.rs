//! Idle stops: towns that their owners do not use are stopped, where the owner has asked for it.
//!
//! Each replica lists towns that may be idle and requests their stops. A stop is an operation like any other, and its
//! transaction judges the town again, so replicas need no share of the work.

use std::error::Error;
use std::sync::Arc;

use gastown_domain::IdleVerdict;
use gastown_domain::ports::{Measurement, StoreError};
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::settings::Settings;
use crate::singleton_jobs::until_stopped;
use crate::town_service::TownService;

/// Requests the stops of idle towns. Cheap to clone.
#[derive(Clone)]
pub struct IdleStopper {
    service: TownService,
    /// Ports whose calls yield to those with a waiting caller.
    ports: Ports,
    settings: Arc<Settings>,
}

/// The part of one replica in a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdleReport {
    /// Towns that seemed idle.
    pub listed: usize,
    /// Stops that were accepted.
    pub stopped: usize,
}

impl IdleStopper {
    /// Returns a stopper of the towns of this service.
    pub fn new(service: &TownService, ports: Ports, settings: Arc<Settings>) -> Self {
        let service = service.storing_in(ports.store.clone());
        Self { service, ports, settings }
    }

    /// Makes passes until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        // Four passes in a period.
        let every = self.settings.policy.idle.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(report) if report.listed == 0 => {}
            Ok(report) => tracing::debug!(?report, "idle towns stopped"),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to stop idle towns"),
        }
    }

    /// Requests the stops of a bounded number of idle towns. The next pass finds the others.
    ///
    /// Errors: the registry's. Stops that were accepted before go on.
    pub async fn pass(&self) -> Result<IdleReport, StoreError> {
        let towns = self.ports.store.operations.idle_towns(self.settings.policy.idle.batch).await?;
        let mut report = IdleReport { listed: towns.len(), ..IdleReport::default() };
        for (town, owner) in towns {
            match self.service.stop_idle_town((town, &owner)).await? {
                IdleVerdict::Idle { .. } => {
                    report.stopped += 1;
                    self.ports.env.metrics.record(Measurement::IdleStopsRequested(1));
                }
                IdleVerdict::Keep(reason) => tracing::debug!(town.id = %town, ?reason, "idle town kept"),
            }
        }
        Ok(report)
    }
}
