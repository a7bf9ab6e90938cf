//! The ports that the service needs, grouped by what they reach.

use std::sync::Arc;

use gastown_domain::ports::{
    Apps, Clock, DriftChecks, Ids, Inventory, Jitter, Machines, Operations, Orphans, Registry, Rigs, Sandboxes, Sealer,
    SingletonJobs, TokenMint, TownKeys, Users, Volumes,
};

/// What is remembered.
#[derive(Clone)]
pub struct Store {
    /// Towns.
    pub registry: Arc<dyn Registry>,
    /// Rigs.
    pub rigs: Arc<dyn Rigs>,
    /// Operations in flight.
    pub operations: Arc<dyn Operations>,
    /// The host application's users.
    pub users: Arc<dyn Users>,
    /// Comparisons of settled towns with Fly.
    pub drift_checks: Arc<dyn DriftChecks>,
    /// The book of orphans.
    pub orphans: Arc<dyn Orphans>,
    /// Who makes a periodic pass.
    pub passes: Arc<dyn SingletonJobs>,
}

/// What is made.
#[derive(Clone)]
pub struct Provider {
    /// Fly apps.
    pub apps: Arc<dyn Apps>,
    /// Fly volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Fly machines.
    pub machines: Arc<dyn Machines>,
    /// The API inside each sandbox.
    pub sandboxes: Arc<dyn Sandboxes>,
    /// Everything at Fly that carries our names or metadata.
    pub inventory: Arc<dyn Inventory>,
}

/// What is secret.
#[derive(Clone)]
pub struct Secrets {
    /// Gateway tokens.
    pub mint: Arc<dyn TokenMint>,
    /// Sealed values.
    pub sealer: Arc<dyn Sealer>,
    /// The key of each town.
    pub towns: Arc<dyn TownKeys>,
}

/// What would make tests inexact.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Jitter.
    pub jitter: Arc<dyn Jitter>,
}

/// Every port.
#[derive(Clone)]
pub struct Ports {
    /// What is remembered.
    pub store: Store,
    /// What is made.
    pub provider: Provider,
    /// What is secret.
    pub keys: Secrets,
    /// What would make tests inexact.
    pub env: Env,
}

/// What looking for orphans needs.
#[derive(Clone)]
pub struct OrphanPorts {
    /// The book of orphans.
    pub book: Arc<dyn Orphans>,
    /// Who makes a pass.
    pub passes: Arc<dyn SingletonJobs>,
    /// Everything at Fly that carries our names or metadata.
    pub inventory: Arc<dyn Inventory>,
    /// Fly machines.
    pub machines: Arc<dyn Machines>,
    /// Fly volumes.
    pub volumes: Arc<dyn Volumes>,
    /// What would make tests inexact.
    pub env: Env,
}

impl From<Ports> for OrphanPorts {
    fn from(ports: Ports) -> Self {
        let Ports { store, provider, env, .. } = ports;
        Self {
            book: store.orphans,
            passes: store.passes,
            inventory: provider.inventory,
            machines: provider.machines,
            volumes: provider.volumes,
            env,
        }
    }
}
