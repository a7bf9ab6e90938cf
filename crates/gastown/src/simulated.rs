//! A simulated Fly with its sandboxes, for a control plane that runs offline.

use std::time::Duration;

use fly_sim::{FlySim, SetupError, SimConfig, StartError};
use gastown_orchestrator::SandboxEnv;
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::{PublicSealingKey, SandboxKey};
use gastown_system::random_secret;

use crate::build_error::{BuildError, set_up};
use crate::builder::GastownBuilder;
use crate::fly::FlySettings;
use crate::gastown::Gastown;
use crate::plan::Plan;
use crate::secrets::SecretSettings;

/// The app of every simulated town.
const APP: &str = "gastown-simulated";
/// The address before the simulator is started.
const NOT_STARTED: &str = "http://localhost";
/// The pause between two observations. A simulated machine changes within milliseconds.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running simulator of Fly, which ends when it is dropped.
pub struct SimulatedFly {
    simulator: FlySim,
    sealing_key: PublicSealingKey,
}

impl SimulatedFly {
    /// Starts a simulator whose apps have the private key of its sandboxes.
    ///
    /// Errors: those of the simulator.
    pub async fn start(config: SimConfig) -> Result<Self, StartError> {
        let key = SandboxKey::generate();
        let mut config = config;
        config.app_secrets.push(("SANDBOX_PRIVATE_KEY".to_owned(), key.to_secret()));
        Self::start_with_key(config, key.public_key().clone()).await
    }

    /// Starts a simulator for a key whose private part the caller sets as a secret of each app. Unless the configuration
    /// names other programs, sandboxes run on its machines.
    ///
    /// Errors: those of the simulator.
    pub async fn start_with_key(config: SimConfig, sealing_key: PublicSealingKey) -> Result<Self, StartError> {
        let mut config = config;
        if config.workload.is_none() {
            config.workload = SimulatedSandboxes::default().into_workload();
        }
        Ok(Self { simulator: FlySim::start(config).await?, sealing_key })
    }

    /// Creates an app.
    ///
    /// Errors: the name is not one of an app, or is taken.
    pub fn create_app(&self, name: &str) -> Result<(), SetupError> {
        self.simulator.create_app(name)
    }

    /// Returns the simulator, for faults, records and what exists at Fly.
    pub fn simulator(&self) -> &FlySim {
        &self.simulator
    }

    /// Returns the key that seals values for the simulated sandboxes.
    pub fn sealing_key(&self) -> &PublicSealingKey {
        &self.sealing_key
    }

    /// Stops the simulator and waits for the calls in progress.
    pub async fn shutdown(self) {
        self.simulator.shutdown().await;
    }
}

impl Gastown {
    /// Returns a builder of a control plane that runs offline: a simulated Fly, SQLite in memory, new secrets. Every setting
    /// and every port can be replaced as in production.
    pub fn simulated() -> GastownBuilder {
        Self::builder().simulation(SimConfig::fast())
    }

    /// Returns the simulated Fly of [`Gastown::simulated`].
    pub fn simulator(&self) -> Option<&FlySim> {
        self.simulator.as_ref().map(SimulatedFly::simulator)
    }
}

impl GastownBuilder {
    /// Sets the simulated Fly of [`Gastown::simulated`].
    pub fn simulation(mut self, simulation: SimConfig) -> Self {
        self.simulation = Some(simulation);
        self
    }

    /// Fills what is not set, if the control plane is simulated.
    pub(crate) fn fill_for_simulation(&mut self) {
        if self.simulation.is_none() {
            return;
        }
        if self.database.is_none() {
            self.database = Some("sqlite::memory:".into());
            self.migrate = true;
        }
        let fly = FlySettings::shared_app(APP, random_secret()).base_url(NOT_STARTED);
        self.fly.get_or_insert(fly.rate_limits(gastown_fly::RateLimiting::Off));
        let key = SandboxKey::generate().public_key().clone();
        self.secrets.get_or_insert_with(|| SecretSettings::new(random_secret(), random_secret(), key));
        self.image.get_or_insert_with(|| "registry.example.com/gastown-sandbox:1".into());
        self.env.get_or_insert_with(|| SandboxEnv::new("https://kilo.example.com", "towns", random_secret()));
        self.policy.backoff.poll_interval = self.policy.backoff.poll_interval.min(POLL_INTERVAL);
    }
}

impl Plan {
    /// Starts the simulator, if the control plane is simulated, and directs the adapters to it.
    pub(crate) async fn start_simulator(&mut self) -> Result<Option<SimulatedFly>, BuildError> {
        let Some(config) = self.simulation.take() else { return Ok(None) };
        let simulated = SimulatedFly::start(config).await.map_err(set_up("the simulated Fly"))?;
        if let gastown_domain::AppPlacement::Shared(app) = &self.settings.apps {
            simulated.create_app(app.as_str()).map_err(set_up("the app of the simulated Fly"))?;
        }
        let simulator = simulated.simulator();
        if let Some(fly) = &mut self.fly {
            fly.base_url = simulator.url().parse().map_err(set_up("the address of the simulated Fly"))?;
        }
        self.template =
            simulator.machine_url_template().parse().map_err(set_up("the address of simulated sandboxes"))?;
        if let Some(secrets) = &mut self.secrets {
            secrets.seal_with(simulated.sealing_key().clone());
        }
        Ok(Some(simulated))
    }
}
