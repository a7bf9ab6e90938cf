//! The health monitor: running towns are asked for their health, and those that fail are restarted.
//!
//! A pass takes batches of the towns that are due, with all other replicas (`pass`). Each sandbox of a batch is asked (`ask`).
//! The answers of a batch become observations (`observe`). Silence counts only if the machine is on, and nothing counts if too
//! many sandboxes fail at once. The domain judges each observation, and one statement writes the batch
//! (`batch`). A restart is an operation like any other, so it never races those of the owner.

mod ask;
mod batch;
mod observe;
mod pass;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::StoreError;
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::settings::Settings;
use crate::singleton_jobs::until_stopped;
use crate::town_service::TownService;

/// Checks the health of running towns. Cheap to clone.
#[derive(Clone)]
pub struct HealthMonitor {
    /// Requests restarts.
    service: TownService,
    /// Ports whose calls yield to those with a waiting caller.
    ports: Ports,
    settings: Arc<Settings>,
}

/// The part of one replica in a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthReport {
    /// Batches that were taken.
    pub batches: usize,
    /// Towns that were taken.
    pub taken: usize,
    /// Towns whose sandbox is well.
    pub healthy: usize,
    /// Towns whose check failed.
    pub failed: usize,
    /// Towns that could not be asked, or whose failure does not count.
    pub unknown: usize,
    /// Towns that are not running.
    pub not_running: usize,
    /// Results that were not written, because an operation or another replica came in between.
    pub discarded: usize,
    /// Restarts that were accepted.
    pub restarted: usize,
}

impl HealthReport {
    const fn plus(self, other: Self) -> Self {
        Self {
            batches: self.batches + other.batches,
            taken: self.taken + other.taken,
            healthy: self.healthy + other.healthy,
            failed: self.failed + other.failed,
            unknown: self.unknown + other.unknown,
            not_running: self.not_running + other.not_running,
            discarded: self.discarded + other.discarded,
            restarted: self.restarted + other.restarted,
        }
    }
}

impl HealthMonitor {
    /// Returns a monitor of the towns of this service. Its own calls go through `ports`.
    pub fn new(service: TownService, ports: Ports, settings: Arc<Settings>) -> Self {
        Self { service, ports, settings }
    }

    /// Takes part in every pass, with all other replicas, until `stop` is cancelled. One pass ends before the next begins.
    pub async fn run(&self, stop: CancellationToken) {
        // A pass is tried twelve times in a period, because towns are due at different times.
        let every = self.settings.policy.monitor.every / 3;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(report) if report.taken == 0 => {}
            Ok(report) => tracing::debug!(?report, "health checks finished"),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to check health of towns"),
        }
    }

    /// Checks every town that is due and that no other replica checks.
    ///
    /// Errors: the registry's. Batches that were taken before are finished. The next pass comes anyway.
    pub async fn pass(&self) -> Result<HealthReport, StoreError> {
        self.enrol().await?;
        self.check_all().await
    }
}
