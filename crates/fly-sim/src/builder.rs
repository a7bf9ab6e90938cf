//! The builder of a simulator, for tests in Rust.

use std::{net::SocketAddr, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    config::SimConfig,
    faults::Fault,
    rate_limit::RateLimits,
    scenario::Scenario,
    seed::SeedDocument,
    sim::{FlySim, StartError},
    timing::Timing,
    workload::Workload,
};

/// A simulator that is being set up. Without further calls it is [`SimConfig::fast`] on a free port.
#[derive(Debug, Clone)]
pub struct Builder {
    config: SimConfig,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { config: SimConfig::fast() }
    }

    /// Creates an app at the start.
    #[must_use]
    pub fn app(mut self, name: &str) -> Self {
        self.config.initial = self.config.initial.with_app(name);
        self
    }

    /// Creates the apps, volumes, machines and secrets of the document at the start.
    #[must_use]
    pub fn seeded(mut self, seed: SeedDocument) -> Self {
        self.config.initial.apps.extend(seed.apps);
        self
    }

    /// Schedules a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.config.faults.push(fault);
        self
    }

    /// Puts a scenario in force from the start.
    #[must_use]
    pub fn scenario(mut self, scenario: &'static Scenario) -> Self {
        self.config.scenario = Some(scenario);
        self
    }

    /// Sets the delays.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.config.timing = timing;
        self
    }

    /// Sets the rate limits.
    #[must_use]
    pub fn rates(mut self, rates: RateLimits) -> Self {
        self.config.rates = rates;
        self
    }

    /// Accepts this token only.
    #[must_use]
    pub fn strict_token(mut self, token: impl Into<SecretString>) -> Self {
        self.config.token = Some(token.into());
        self
    }

    /// Sets the organization of every app.
    #[must_use]
    pub fn organization(mut self, slug: &str) -> Self {
        slug.clone_into(&mut self.config.org_slug);
        self
    }

    /// Sets the wall clock time at the start.
    #[must_use]
    pub fn epoch(mut self, epoch: DateTime<Utc>) -> Self {
        self.config.epoch = Some(epoch);
        self
    }

    /// Sets the seed of all generated ids.
    #[must_use]
    pub fn id_seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Runs programs in machines.
    #[must_use]
    pub fn workload(mut self, workload: impl Workload) -> Self {
        self.config.workload = Some(Arc::new(workload));
        self
    }

    /// Sets the address to listen on. Port 0 selects a free port.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.config.listen = address;
        self
    }

    /// Starts the simulator.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be listened on, or Fly would refuse what is created at the start.
    pub async fn start(self) -> Result<FlySim, StartError> {
        FlySim::start(self.config).await
    }
}
