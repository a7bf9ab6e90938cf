//! The ports that the service needs, grouped by what they reach.

use std::sync::Arc;

use gastown_domain::ports::{
    Apps, Clock, Dice, Ids, Inspections, Inventory, Machines, Operations, Orphans, Passes, Registry, Rigs, Sandboxes,
    Sealer, TokenMint, TownKeys, Users, Volumes,
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
    pub inspections: Arc<dyn Inspections>,
    /// The book of orphans.
    pub orphans: Arc<dyn Orphans>,
    /// Who makes a periodic pass.
    pub passes: Arc<dyn Passes>,
}

/// What is made.
#[derive(Clone)]
pub struct Outside {
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
pub struct Keys {
    /// Gateway tokens.
    pub mint: Arc<dyn TokenMint>,
    /// Sealed values.
    pub sealer: Arc<dyn Sealer>,
    /// The key of each town.
    pub towns: Arc<dyn TownKeys>,
}

/// What would make tests inexact.
#[derive(Clone)]
pub struct Chance {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Jitter.
    pub dice: Arc<dyn Dice>,
}

/// Every port.
#[derive(Clone)]
pub struct Ports {
    /// What is remembered.
    pub store: Store,
    /// What is made.
    pub outside: Outside,
    /// What is secret.
    pub keys: Keys,
    /// What would make tests inexact.
    pub chance: Chance,
}

/// What looking for orphans needs.
#[derive(Clone)]
pub struct OrphanPorts {
    /// The book of orphans.
    pub book: Arc<dyn Orphans>,
    /// Who makes a pass.
    pub passes: Arc<dyn Passes>,
    /// Everything at Fly that carries our names or metadata.
    pub inventory: Arc<dyn Inventory>,
    /// Fly machines.
    pub machines: Arc<dyn Machines>,
    /// Fly volumes.
    pub volumes: Arc<dyn Volumes>,
    /// What would make tests inexact.
    pub chance: Chance,
}

impl From<Ports> for OrphanPorts {
    fn from(ports: Ports) -> Self {
        let Ports { store, outside, chance, .. } = ports;
        Self {
            book: store.orphans,
            passes: store.passes,
            inventory: outside.inventory,
            machines: outside.machines,
            volumes: outside.volumes,
            chance,
        }
    }
}
