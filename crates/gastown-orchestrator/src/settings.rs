//! What an operator decides: where machines go, what they are, how patient we are.

use std::time::Duration;

use gastown_domain::{AppName, Backoff, Gigabytes, Guest, ImageRef, Invalid, Region, UserId};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Everything the service is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which Fly app a town lives in.
    pub apps: AppPlacement,
    /// Regions in order of preference; never empty.
    pub regions: Vec<Region>,
    /// What a town's machine is.
    pub machine: MachineTemplate,
    /// What a sandbox is given at boot.
    pub env: SandboxEnv,
    /// How patient we are.
    pub policy: Policy,
}

/// Which Fly app a town lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppPlacement {
    /// One app for all.
    Shared(AppName),
    /// One app per user, with a private network of its own; the name is `<prefix>-<20 hex of the user id's SHA-256>`.
    PerUser {
        /// At most 40 of `a-z 0-9 -`.
        prefix: AppName,
    },
}

impl AppPlacement {
    /// The app of a user's towns.
    ///
    /// Errors: the prefix makes the name longer than Fly takes.
    pub fn app_of(&self, user: &UserId) -> Result<AppName, Invalid> {
        match self {
            Self::Shared(app) => Ok(app.clone()),
            Self::PerUser { prefix } => {
                let digest = Sha256::digest(user.as_str().as_bytes());
                let name =
                    digest.iter().take(10).fold(prefix.to_string() + "-", |name, byte| name + &format!("{byte:02x}"));
                name.parse()
            }
        }
    }
}

/// What a town's machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineTemplate {
    /// What it boots; a digest in production.
    pub image: ImageRef,
    /// CPUs and memory.
    pub guest: Guest,
    /// Its volume, in GB.
    pub volume: Gigabytes,
}

/// What a sandbox is given at boot besides its own id, token and key. Secret values are sealed before they leave.
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
    /// `GASTOWN_CLOUD_URL`: where it calls home.
    pub gastown_cloud_url: Option<String>,
}

/// How patient we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A caller waits at most this long for the end of its operation.
    pub caller_wait: Duration,
    /// A create that has not reached its goal by then is rolled back.
    pub create_timeout: Duration,
    /// A start that has not reached its goal by then is undone.
    pub start_timeout: Duration,
    /// A stop that has not reached its goal by then fails, unless its machine may be going down by its word.
    pub stop_timeout: Duration,
    /// The deadline of what Fly's limits hold up moves with the wait, by so much in all (FM-53).
    pub max_queue_time: Duration,
    /// A create gives up after so many failures in a row that say nothing about a cause.
    pub create_attempts: u32,
    /// A destroy gives up on the last sync after so many failed looks.
    pub sync_attempts: u32,
    /// The last sync takes at most this long.
    pub sync_timeout: Duration,
    /// A create or start waits at most this long for its rigs; the workers settle what is left.
    pub rigs_timeout: Duration,
    /// A claim holds this long; a record that does not give it back prolongs it.
    pub lease: Duration,
    /// What Fly was asked for shows up within this long, our own wait in line included, or never; no longer than a lease.
    pub create_visibility_timeout: Duration,
    /// One wait for a machine's state; shorter than the lease.
    pub await_timeout: Duration,
    /// Between two looks at something that is neither there nor gone.
    pub poll_interval: Duration,
    /// Agreeing looks that prove absence after a lost answer.
    pub agreeing_observations: u8,
    /// Between failed attempts.
    pub backoff: Backoff,
    /// After so many failed attempts in a row an operator is told, and it goes on slowly (FM-14).
    pub alert_attempts: u32,
    /// Between failed attempts from then on.
    pub alert_backoff: Backoff,
    /// An operation that waits longer than this gives its claim back meanwhile, and its permit with it.
    pub park_after: Duration,
    /// Between two sweeps of the workers.
    pub sweep_every: Duration,
    /// Operations driven at once for callers.
    pub user_permits: usize,
    /// Operations driven at once by the workers.
    pub background_permits: usize,
    /// Operations that callers wait for and that have a task of this process waiting too; the others wait in the registry.
    pub max_waiting: usize,
    /// How many living towns a user may have.
    pub max_towns: u32,
    /// How settled towns are compared with Fly.
    pub inspection: DriftPolicy,
    /// How orphans are looked for.
    pub orphans: OrphanPolicy,
}

/// How settled towns are compared with Fly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftPolicy {
    /// A town is compared once in this time.
    pub every: Duration,
    /// Towns compared at once.
    pub at_once: usize,
    /// So many looks in a row that show the same are believed (FM-23).
    pub agreeing_observations: u32,
    /// So many towns whose machine or volume reads as absent in one pass stop it, where they are more than a third of
    /// those it has compared (FM-33).
    pub alarm_threshold: u32,
}

/// How orphans are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanPolicy {
    /// Between two passes.
    pub every: Duration,
    /// Whether orphans are deleted; else they are only reported.
    pub delete: bool,
    /// An orphan younger than this, or seen as one for a shorter time, is not deleted.
    pub grace: Duration,
    /// An orphan seen in fewer passes is not deleted.
    pub passes: u32,
    /// So many orphans in one pass stop it, where they are more than a third of what it has seen (FM-55).
    pub alarm_threshold: u32,
}

impl Policy {
    /// For Fly as it is.
    pub const fn production() -> Self {
        Self {
            caller_wait: Duration::from_secs(60),
            create_timeout: Duration::from_secs(300),
            start_timeout: Duration::from_secs(180),
            stop_timeout: Duration::from_secs(180),
            max_queue_time: Duration::from_secs(3600),
            create_attempts: 8,
            sync_attempts: 5,
            sync_timeout: Duration::from_secs(20),
            rigs_timeout: Duration::from_secs(120),
            lease: Duration::from_secs(45),
            create_visibility_timeout: Duration::from_secs(45),
            await_timeout: Duration::from_secs(15),
            poll_interval: Duration::from_secs(2),
            agreeing_observations: 3,
            backoff: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(20) },
            sweep_every: Duration::from_secs(5),
            user_permits: 128,
            background_permits: 16,
            alert_attempts: 15,
            alert_backoff: Backoff { first: Duration::from_secs(60), max: Duration::from_secs(600) },
            park_after: Duration::from_secs(5),
            max_waiting: 1024,
            max_towns: 50,
            inspection: DriftPolicy {
                every: Duration::from_secs(60),
                at_once: 8,
                agreeing_observations: 3,
                alarm_threshold: 5,
            },
            orphans: OrphanPolicy {
                every: Duration::from_secs(600),
                delete: true,
                grace: Duration::from_secs(3600),
                passes: 3,
                alarm_threshold: 10,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_per_user_have_names_that_fly_takes() {
        let placement = AppPlacement::PerUser { prefix: "gastown".parse().unwrap() };
        let app = placement.app_of(&"user_abc123".parse().unwrap()).unwrap();
        assert_eq!(app.as_str(), "gastown-5a2e084061eae2209d14");
        assert_ne!(app, placement.app_of(&"user_abc124".parse().unwrap()).unwrap());
        let shared = AppPlacement::Shared("one".parse().unwrap());
        assert_eq!(shared.app_of(&"user_abc123".parse().unwrap()).unwrap().as_str(), "one");
    }
}
