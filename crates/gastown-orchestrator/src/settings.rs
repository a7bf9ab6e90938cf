//! The settings of the service: placement, machines, sandboxes, limits.

use std::num::NonZeroU32;
use std::time::Duration;

use gastown_domain::{AppPlacement, Backoff, Gigabytes, Guest, HealthLimits, ImageRef, Region};
use secrecy::SecretString;

/// The settings of the service, read once at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The apps that towns are in.
    pub apps: AppPlacement,
    /// Regions in order of preference. Not empty.
    pub regions: Vec<Region>,
    /// The town's machine.
    pub machine: MachineTemplate,
    /// The environment of a sandbox.
    pub env: SandboxEnv,
    /// Time limits, limits and delays.
    pub policy: ValidPolicy,
}

/// The machine and volume of every town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineTemplate {
    /// The image, pinned by digest in production.
    pub image: ImageRef,
    /// CPUs and memory.
    pub guest: Guest,
    /// The size of the volume, in GB.
    pub volume: Gigabytes,
}

/// The environment of a sandbox, besides the town's own id, token and key. Secret values are sealed.
#[derive(Debug, Clone)]
pub struct SandboxEnv {
    /// `KILO_API_URL`.
    pub kilo_api_url: String,
    /// `R2_BUCKET`.
    pub r2_bucket: String,
    /// `R2_ACCESS_KEY`, sealed.
    pub r2_access_key: SecretString,
    /// `R2_SECRET_KEY`, sealed.
    pub r2_secret_key: Option<SecretString>,
    /// `R2_ENDPOINT`.
    pub r2_endpoint: Option<String>,
    /// `GASTOWN_CLOUD_URL`, the address for heartbeats and token refreshes.
    pub gastown_cloud_url: Option<String>,
}

/// Time limits, limits and delays. Built by [`Policy::validated`] into what the service takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time limits.
    pub timeouts: Timeouts,
    /// Counts.
    pub limits: Limits,
    /// Delays between attempts.
    pub backoff: Delays,
    /// The drift checks of idle towns.
    pub drift: DriftPolicy,
    /// The health checks of running towns.
    pub monitor: MonitorPolicy,
    /// The stops of idle towns.
    pub idle: IdlePolicy,
    /// The orphan sweeps.
    pub orphans: OrphanPolicy,
    /// The removal of old history.
    pub retention: RetentionPolicy,
    /// The rollouts of images.
    pub rollout: RolloutPolicy,
}

/// Time limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest wait of a caller for the result of its operation.
    pub caller: Duration,
    /// The deadline of a create. Past it the create is rolled back.
    pub create: Duration,
    /// The deadline of a start. Past it the start is undone.
    pub start: Duration,
    /// The deadline of a restart. Past it a restart whose machine is on fails.
    pub restart: Duration,
    /// The deadline of a restore, which may have to move gigabytes. Past it, what it made is deleted.
    pub restore: Duration,
    /// The deadline of a stop. Past it the stop fails, unless its machine may be stopping at its request.
    pub stop: Duration,
    /// The total time that rate limits may add to a deadline (FM-53).
    pub queue: Duration,
    /// The time limit of a final sync.
    pub sync: Duration,
    /// The time that a create or start waits for its rigs. The workers apply the remaining ones.
    pub rigs: Duration,
    /// The lease of a claim. Every update renews it, unless it releases the claim.
    pub lease: Duration,
    /// The time within which a created resource becomes visible, with its wait in rate limits. At most the lease.
    pub create_visibility: Duration,
    /// The time limit of one wait for a machine's state. Shorter than the lease.
    pub await_state: Duration,
}

/// Counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The unclassified failures in a row after which a create gives up.
    pub create_attempts: u32,
    /// The failed observations after which a destroy skips the final sync.
    pub sync_attempts: u32,
    /// The failed attempts in a row after which an operator is alerted, and the operation is retried slowly (FM-14).
    pub alert_attempts: u32,
    /// The agreeing observations that prove absence after a lost answer.
    pub agreeing_observations: u8,
    /// Operations driven at once for callers.
    pub user_permits: usize,
    /// Operations driven at once by the workers.
    pub background_permits: usize,
    /// Operations with a task of this process while their callers wait. The others wait in the registry.
    pub waiting: usize,
    /// Living towns of one user.
    pub towns_per_user: u32,
    /// Rigs of one town.
    pub rigs_per_town: u32,
    /// Operations in flight of one user.
    pub operations_per_user: u32,
    /// The changes of one user a minute, in one process: creates with each of their first rigs, starts, stops, and changes of
    /// rigs and configurations. As many may come at once.
    pub changes_per_minute: NonZeroU32,
    /// The heartbeats of one town a minute, and its token requests a minute. A sixth of them may come at once.
    pub sandbox_calls_per_minute: NonZeroU32,
    /// Towns whose heartbeat waits to be written. The heartbeats of others are refused meanwhile.
    pub waiting_heartbeats: usize,
}

/// Delays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delays {
    /// Between failed attempts.
    pub retry: Backoff,
    /// Between failed attempts after the alert.
    pub alert: Backoff,
    /// Between two observations of a resource that is changing or not proven absent.
    pub poll_interval: Duration,
    /// The longest wait during which an operation keeps its claim and its permit.
    pub park_after: Duration,
    /// Between two sweeps of the workers.
    pub sweep_every: Duration,
    /// Between two writes of all heartbeats that were accepted meanwhile.
    pub heartbeat_write: Duration,
}

/// The drift checks of idle towns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftPolicy {
    /// The period in which each town is compared once.
    pub every: Duration,
    /// Towns compared at once.
    pub at_once: usize,
    /// The agreeing observations in a row that confirm a drift (FM-23).
    pub agreeing_observations: u32,
    /// The absent machines or volumes in one pass that stop it, if they are more than a third of the compared towns
    /// (FM-33).
    pub alarm_threshold: u32,
}

/// The health checks of running towns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorPolicy {
    /// The period in which each town is checked once.
    pub every: Duration,
    /// Sandboxes asked at once.
    pub at_once: usize,
    /// The time limit of one check.
    pub timeout: Duration,
    /// Silent machines looked at with the provider at once, for each batch.
    pub looks_at_once: usize,
    /// The lease of a batch. After it the towns of a dead process are due again.
    pub lease: Duration,
    /// The failed checks and restarts after which a state changes.
    pub limits: HealthLimits,
    /// The failed checks in one batch of which none counts, if they are more than a third of it (FM-33).
    pub alarm_threshold: u32,
}

/// The stops of idle towns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlePolicy {
    /// The period in which each process looks for idle towns four times.
    pub every: Duration,
    /// The most towns that a process stops at once.
    pub batch: u32,
}

/// The orphan sweeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanPolicy {
    /// The period of the sweeps.
    pub every: Duration,
    /// True to delete orphans, false to report them only.
    pub delete: bool,
    /// The minimum age of a deleted orphan, since its creation and since a pass first saw it.
    pub grace: Duration,
    /// The minimum number of passes that saw a deleted orphan.
    pub passes: u32,
    /// The orphans in one pass that stop it, if they are more than a third of what it has seen (FM-55).
    pub alarm_threshold: u32,
}

/// The ages at which history is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The period of the passes.
    pub every: Duration,
    /// Events.
    pub events: Duration,
    /// Idempotency keys. A repeat of an older request is a new one.
    pub keys: Duration,
    /// Configuration and rigs of destroyed towns.
    pub tombstones: Duration,
}

/// The rollouts of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// The period of the passes.
    pub every: Duration,
    /// The time within which a restarted town that becomes unhealthy has failed, and after which a rollout ends. Longer than the
    /// monitor needs to find a town unhealthy.
    pub soak: Duration,
}

/// A policy whose rules hold. Dereferences to [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidPolicy(Policy);

impl std::ops::Deref for ValidPolicy {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.0
    }
}

impl ValidPolicy {
    /// Returns this policy with a change, checked again.
    ///
    /// Errors: the first rule that does not hold after the change.
    pub fn changed(&self, change: impl FnOnce(&mut Policy)) -> Result<Self, InvalidPolicy> {
        let mut policy = self.0.clone();
        change(&mut policy);
        policy.validated()
    }
}

/// A rule of the policy that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A wait for a machine's state would outlast the lease.
    #[error("timeouts.await_state must be shorter than timeouts.lease")]
    AwaitOutlastsLease,
    /// A create of a lost claim could become visible after the takeover.
    #[error("timeouts.create_visibility must be at most timeouts.lease")]
    VisibilityOutlastsLease,
    /// No observation would be needed to prove an absence.
    #[error("limits.agreeing_observations and drift.agreeing_observations must be at least 1")]
    NoObservations,
}

impl Policy {
    /// Returns the policy for a provider in production, which is the default of each part.
    pub const fn production() -> Self {
        Self {
            timeouts: Timeouts::production(),
            limits: Limits::production(),
            backoff: Delays::production(),
            drift: DriftPolicy::production(),
            monitor: MonitorPolicy::production(),
            idle: IdlePolicy::production(),
            orphans: OrphanPolicy::production(),
            retention: RetentionPolicy::production(),
            rollout: RolloutPolicy::production(),
        }
    }

    /// Checks the rules that connect the values.
    ///
    /// Errors: the first rule that does not hold.
    pub fn validated(self) -> Result<ValidPolicy, InvalidPolicy> {
        let Timeouts { lease, await_state, create_visibility, .. } = self.timeouts;
        if await_state >= lease {
            return Err(InvalidPolicy::AwaitOutlastsLease);
        }
        if create_visibility > lease {
            return Err(InvalidPolicy::VisibilityOutlastsLease);
        }
        if self.limits.agreeing_observations == 0 || self.drift.agreeing_observations == 0 {
            return Err(InvalidPolicy::NoObservations);
        }
        Ok(ValidPolicy(self))
    }
}

impl Timeouts {
    const fn production() -> Self {
        Self {
            caller: Duration::from_secs(60),
            create: Duration::from_secs(300),
            start: Duration::from_secs(180),
            restart: Duration::from_secs(150),
            restore: Duration::from_secs(30 * 60),
            stop: Duration::from_secs(180),
            queue: Duration::from_secs(3600),
            sync: Duration::from_secs(20),
            rigs: Duration::from_secs(120),
            lease: Duration::from_secs(45),
            create_visibility: Duration::from_secs(45),
            await_state: Duration::from_secs(15),
        }
    }
}

impl Limits {
    const fn production() -> Self {
        Self {
            create_attempts: 8,
            sync_attempts: 5,
            alert_attempts: 15,
            agreeing_observations: 3,
            user_permits: 128,
            background_permits: 16,
            waiting: 1024,
            towns_per_user: 50,
            rigs_per_town: 100,
            operations_per_user: 20,
            changes_per_minute: NonZeroU32::MIN.saturating_add(119),
            sandbox_calls_per_minute: NonZeroU32::MIN.saturating_add(59),
            waiting_heartbeats: 200_000,
        }
    }
}

impl Delays {
    const fn production() -> Self {
        Self {
            retry: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(20) },
            alert: Backoff { first: Duration::from_secs(60), max: Duration::from_secs(600) },
            poll_interval: Duration::from_secs(2),
            park_after: Duration::from_secs(5),
            sweep_every: Duration::from_secs(5),
            heartbeat_write: Duration::from_secs(1),
        }
    }
}

impl DriftPolicy {
    const fn production() -> Self {
        Self { every: Duration::from_secs(60), at_once: 8, agreeing_observations: 3, alarm_threshold: 5 }
    }
}

impl MonitorPolicy {
    const fn production() -> Self {
        Self {
            every: Duration::from_secs(180),
            at_once: 128,
            timeout: Duration::from_secs(5),
            looks_at_once: 8,
            lease: Duration::from_secs(120),
            limits: HealthLimits::DEFAULT,
            alarm_threshold: 5,
        }
    }
}

impl IdlePolicy {
    const fn production() -> Self {
        Self { every: Duration::from_secs(60), batch: 100 }
    }
}

impl OrphanPolicy {
    const fn production() -> Self {
        Self {
            every: Duration::from_secs(600),
            delete: true,
            grace: Duration::from_secs(3600),
            passes: 3,
            alarm_threshold: 10,
        }
    }
}

impl RetentionPolicy {
    const fn production() -> Self {
        Self {
            every: Duration::from_secs(3600),
            events: Duration::from_secs(90 * 86_400),
            keys: Duration::from_secs(30 * 86_400),
            tombstones: Duration::from_secs(30 * 86_400),
        }
    }
}

impl RolloutPolicy {
    const fn production() -> Self {
        Self { every: Duration::from_secs(10), soak: Duration::from_secs(720) }
    }
}

/// Implements `Default` as the values for production.
macro_rules! production_is_the_default {
    ($($group:ident),+) => {
        $(impl Default for $group {
            /// Returns the values for a provider in production.
            fn default() -> Self {
                Self::production()
            }
        })+
    };
}
production_is_the_default!(
    Policy,
    Timeouts,
    Limits,
    Delays,
    DriftPolicy,
    MonitorPolicy,
    IdlePolicy,
    OrphanPolicy,
    RetentionPolicy,
    RolloutPolicy
);

impl Default for ValidPolicy {
    /// Returns the policy for a provider in production, whose rules hold.
    fn default() -> Self {
        Self(Policy::production())
    }
}

impl From<ValidPolicy> for Policy {
    fn from(policy: ValidPolicy) -> Self {
        policy.0
    }
}

impl SandboxEnv {
    /// Returns the environment with what is required. Everything else is absent.
    pub fn new(
        kilo_api_url: impl Into<String>,
        r2_bucket: impl Into<String>,
        r2_access_key: impl Into<SecretString>,
    ) -> Self {
        Self {
            kilo_api_url: kilo_api_url.into(),
            r2_bucket: r2_bucket.into(),
            r2_access_key: r2_access_key.into(),
            r2_secret_key: None,
            r2_endpoint: None,
            gastown_cloud_url: None,
        }
    }
}

impl MachineTemplate {
    /// Returns a machine of the default size that boots this image.
    pub const fn of(image: ImageRef) -> Self {
        Self { image, guest: Guest::TOWN, volume: Gigabytes::TOWN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_valid_and_that_of_production() {
        assert_eq!(Policy::default().validated(), Ok(ValidPolicy::default()));
        assert_eq!(*ValidPolicy::default(), Policy::production());
    }

    #[test]
    fn rules_between_values_are_checked() {
        let with = |change: fn(&mut Policy)| {
            let mut policy = Policy::production();
            change(&mut policy);
            policy.validated().map(drop)
        };
        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(with(|it| it.timeouts.lease = Duration::from_secs(15)), Err(InvalidPolicy::AwaitOutlastsLease));
        assert_eq!(
            with(|it| it.timeouts.create_visibility += Duration::from_secs(1)),
            Err(InvalidPolicy::VisibilityOutlastsLease)
        );
        assert_eq!(with(|it| it.limits.agreeing_observations = 0), Err(InvalidPolicy::NoObservations));
    }
}
