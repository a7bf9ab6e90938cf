//! The ports that the service needs, grouped by what they reach.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{
    Apps, Clock, DriftChecks, HealthChecks, Ids, Inventory, Jitter, Machines, Metrics, NewOperation, Operations,
    Orphans, Registry, Rigs, Rollouts, Sandboxes, Sealer, SingletonJobs, TokenMint, TownKeys, UserCalls, UserTurns,
    Users, Volumes,
};
use gastown_domain::{OperationKind, TownId, UserId};

/// The registry's ports.
#[derive(Clone)]
pub struct Store {
    /// Towns.
    pub registry: Arc<dyn Registry>,
    /// Rigs.
    pub rigs: Arc<dyn Rigs>,
    /// Operations in flight.
    pub operations: Arc<dyn Operations>,
    /// Users of the host application.
    pub users: Arc<dyn Users>,
    /// Drift checks of idle towns.
    pub drift_checks: Arc<dyn DriftChecks>,
    /// Health checks of running towns.
    pub health_checks: Arc<dyn HealthChecks>,
    /// Orphan records.
    pub orphans: Arc<dyn Orphans>,
    /// Leader leases of the singleton jobs.
    pub jobs: Arc<dyn SingletonJobs>,
    /// Rollouts of images.
    pub rollouts: Arc<dyn Rollouts>,
}

/// The ports to the provider and to the sandboxes on it.
#[derive(Clone)]
pub struct Provider {
    /// Apps.
    pub apps: Arc<dyn Apps>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Machines.
    pub machines: Arc<dyn Machines>,
    /// The API inside each sandbox.
    pub sandboxes: Arc<dyn Sandboxes>,
    /// Every resource with our names or metadata.
    pub inventory: Arc<dyn Inventory>,
    /// Turns of users in the provider's rate limits. `None` if no call waits for one.
    pub turns: Option<Arc<dyn UserTurns>>,
}

impl Provider {
    /// Returns the ports for the calls of one user.
    pub(crate) fn for_user(&self, user: &UserId) -> Self {
        let Some(turns) = &self.turns else { return self.clone() };
        let UserCalls { apps, volumes, machines } = turns.calls_of(user);
        Self { apps, volumes, machines, ..self.clone() }
    }
}

/// The ports for keys and tokens.
#[derive(Clone)]
pub struct Secrets {
    /// Gateway tokens.
    pub mint: Arc<dyn TokenMint>,
    /// Sealed values.
    pub sealer: Arc<dyn Sealer>,
    /// The key of each town.
    pub towns: Arc<dyn TownKeys>,
}

/// Time, ids, randomness, and the counts for operators.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Jitter.
    pub jitter: Arc<dyn Jitter>,
    /// Counts of events.
    pub metrics: Arc<dyn Metrics>,
}

impl Env {
    /// Returns an operation that does not count as one of its owner. No limit of the owner refuses it, and no process
    /// holds it yet. Without a time limit it is never given up for time.
    pub(crate) fn operation_of_service(
        &self,
        (town, owner): (TownId, &UserId),
        kind: OperationKind,
        timeout: Option<Duration>,
    ) -> NewOperation {
        NewOperation {
            id: self.ids.operation(),
            town,
            kind,
            requested_by: owner.clone(),
            at: self.clock.now(),
            timeout,
            max_in_flight: None,
            claim: None,
        }
    }
}

/// Every port.
#[derive(Clone)]
pub struct Ports {
    /// The registry.
    pub store: Store,
    /// The provider.
    pub provider: Provider,
    /// Keys and tokens.
    pub secrets: Secrets,
    /// Time, ids and randomness.
    pub env: Env,
}

/// The ports of the orphan sweeper.
#[derive(Clone)]
pub struct OrphanPorts {
    /// Orphan records.
    pub orphans: Arc<dyn Orphans>,
    /// Leader leases of the singleton jobs.
    pub jobs: Arc<dyn SingletonJobs>,
    /// Every resource with our names or metadata.
    pub inventory: Arc<dyn Inventory>,
    /// Machines.
    pub machines: Arc<dyn Machines>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Time, ids and randomness.
    pub env: Env,
}

impl From<Ports> for OrphanPorts {
    fn from(ports: Ports) -> Self {
        let Ports { store, provider, env, .. } = ports;
        Self {
            orphans: store.orphans,
            jobs: store.jobs,
            inventory: provider.inventory,
            machines: provider.machines,
            volumes: provider.volumes,
            env,
        }
    }
}
