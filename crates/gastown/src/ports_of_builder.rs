//! The ports of a control plane, each of which the builder can replace.

use std::sync::Arc;

use gastown_domain::ports::{
    Apps, Clock, DriftChecks, Figures, HealthChecks, History, Ids, Inventory, Jitter, Machines, Metrics, NoMetrics,
    Operations, Orphans, Readiness, Registry, Rigs, Rollouts, Sandboxes, Sealer, SingletonJobs, TokenMint, TownKeys,
    UserTokens, UserTurns, Users, Volumes,
};
use gastown_orchestrator::{Env, Ports, Provider, RetentionPorts, Secrets, Store};
use gastown_system::{RandomIds, SystemClock, ThreadJitter};

use crate::builder::GastownBuilder;

/// Defines the set of ports, and a method of the builder for each.
macro_rules! ports {
    ($($(#[$doc:meta])* $port:ident: $trait:ident,)+) => {
        /// Ports that adapters or the embedder have given so far.
        #[derive(Clone, Default)]
        pub(crate) struct PortSet {
            $(pub(crate) $port: Option<Arc<dyn $trait>>,)+
        }

        impl PortSet {
            /// Returns these ports, with others where there is none.
            #[must_use]
            pub(crate) fn or(self, other: &Self) -> Self {
                Self { $($port: self.$port.or_else(|| other.$port.clone()),)+ }
            }

            /// Returns the names of those that are missing, of the given ones.
            pub(crate) fn missing(&self, of: &[&'static str]) -> Vec<&'static str> {
                let all = [$((stringify!($port), self.$port.is_none()),)+];
                all.into_iter().filter(|(name, is_missing)| *is_missing && of.contains(name)).map(|(name, _)| name).collect()
            }
        }

        impl GastownBuilder {
            $($(#[$doc])*
            pub fn $port(mut self, port: Arc<dyn $trait>) -> Self {
                self.ports.$port = Some(port);
                self
            })+
        }
    };
}

ports! {
    /// Replaces the registry of towns.
    registry: Registry,
    /// Replaces the registry of rigs.
    rigs: Rigs,
    /// Replaces the rows of operations in flight.
    operations: Operations,
    /// Replaces the users of the host application.
    users: Users,
    /// Replaces the records of drift checks.
    drift_checks: DriftChecks,
    /// Replaces the records of health checks.
    health_checks: HealthChecks,
    /// Replaces the orphan records.
    orphans: Orphans,
    /// Replaces the leader leases of the singleton jobs.
    jobs: SingletonJobs,
    /// Replaces the rows of rollouts.
    rollouts: Rollouts,
    /// Replaces the removal of old history.
    history: History,
    /// Replaces the figures of the registry for metrics. They are optional.
    figures: Figures,
    /// Replaces the check behind `/readyz`.
    readiness: Readiness,
    /// Replaces the provider's apps.
    apps: Apps,
    /// Replaces the provider's volumes.
    volumes: Volumes,
    /// Replaces the provider's machines.
    machines: Machines,
    /// Replaces the lists of the provider's resources.
    inventory: Inventory,
    /// Replaces the turns of users in the provider's rate limits. They are optional.
    turns: UserTurns,
    /// Replaces the API inside each sandbox.
    sandboxes: Sandboxes,
    /// Replaces the minter of gateway tokens.
    token_mint: TokenMint,
    /// Replaces the sealer of secrets.
    sealer: Sealer,
    /// Replaces the towns' keys.
    town_keys: TownKeys,
    /// Replaces the verifier of users' tokens.
    user_tokens: UserTokens,
    /// Replaces the system's clock.
    clock: Clock,
    /// Replaces the random ids.
    ids: Ids,
    /// Replaces the random jitter.
    jitter: Jitter,
    /// Counts events. By default nothing is counted.
    metrics: Metrics,
}

/// The ports that a database provides.
pub(crate) const OF_DATABASE: [&str; 11] = [
    "registry",
    "rigs",
    "operations",
    "users",
    "drift_checks",
    "health_checks",
    "orphans",
    "jobs",
    "rollouts",
    "history",
    "readiness",
];
/// The ports that the provider's adapter provides.
pub(crate) const OF_PROVIDER: [&str; 4] = ["apps", "volumes", "machines", "inventory"];
/// The ports that the secrets provide.
pub(crate) const OF_SECRETS: [&str; 4] = ["token_mint", "sealer", "town_keys", "user_tokens"];

impl PortSet {
    /// Returns the ports of the system.
    pub(crate) fn system() -> Self {
        Self {
            clock: Some(Arc::new(SystemClock)),
            ids: Some(Arc::new(RandomIds)),
            jitter: Some(Arc::new(ThreadJitter)),
            metrics: Some(Arc::new(NoMetrics)),
            ..Self::default()
        }
    }

    /// Returns the ports of the service. `None` if one is missing.
    pub(crate) fn complete(&self) -> Option<Ports> {
        Some(Ports {
            store: Store {
                registry: self.registry.clone()?,
                rigs: self.rigs.clone()?,
                operations: self.operations.clone()?,
                users: self.users.clone()?,
                drift_checks: self.drift_checks.clone()?,
                health_checks: self.health_checks.clone()?,
                orphans: self.orphans.clone()?,
                jobs: self.jobs.clone()?,
                rollouts: self.rollouts.clone()?,
            },
            provider: Provider {
                apps: self.apps.clone()?,
                volumes: self.volumes.clone()?,
                machines: self.machines.clone()?,
                sandboxes: self.sandboxes.clone()?,
                inventory: self.inventory.clone()?,
                turns: self.turns.clone(),
            },
            secrets: Secrets {
                mint: self.token_mint.clone()?,
                sealer: self.sealer.clone()?,
                towns: self.town_keys.clone()?,
            },
            env: Env {
                clock: self.clock.clone()?,
                ids: self.ids.clone()?,
                jitter: self.jitter.clone()?,
                metrics: self.metrics.clone()?,
            },
        })
    }

    /// Returns the ports of the removal of old history. `None` if one is missing.
    pub(crate) fn of_retention(&self) -> Option<RetentionPorts> {
        Some(RetentionPorts { history: self.history.clone()?, jobs: self.jobs.clone()?, jitter: self.jitter.clone()? })
    }
}
