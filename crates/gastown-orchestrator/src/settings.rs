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
    pub create_patience: Duration,
    /// A start that has not reached its goal by then is undone.
    pub start_patience: Duration,
    /// A stop that has not reached its goal by then fails.
    pub stop_patience: Duration,
    /// A create gives up after so many failures in a row that say nothing about a cause.
    pub create_attempts: u32,
    /// A destroy gives up on the last sync after so many failed looks.
    pub sync_attempts: u32,
    /// The last sync takes at most this long.
    pub sync_timeout: Duration,
    /// A claim holds this long; every record prolongs it.
    pub lease: Duration,
    /// One wait for a machine's state; shorter than the lease.
    pub await_machine: Duration,
    /// Between two looks at something that is neither there nor gone.
    pub look_again: Duration,
    /// Agreeing looks that prove absence after a lost answer.
    pub agreeing_looks: u8,
    /// Between failed attempts.
    pub backoff: Backoff,
    /// Between two sweeps of the workers.
    pub sweep_every: Duration,
    /// Operations driven at once for callers.
    pub user_permits: usize,
    /// Operations driven at once by the workers.
    pub background_permits: usize,
}

impl Policy {
    /// For Fly as it is.
    pub const fn production() -> Self {
        Self {
            caller_wait: Duration::from_secs(60),
            create_patience: Duration::from_secs(300),
            start_patience: Duration::from_secs(180),
            stop_patience: Duration::from_secs(180),
            create_attempts: 8,
            sync_attempts: 5,
            sync_timeout: Duration::from_secs(20),
            lease: Duration::from_secs(45),
            await_machine: Duration::from_secs(15),
            look_again: Duration::from_secs(2),
            agreeing_looks: 3,
            backoff: Backoff { first: Duration::from_millis(500), most: Duration::from_secs(20) },
            sweep_every: Duration::from_secs(5),
            user_permits: 128,
            background_permits: 16,
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
