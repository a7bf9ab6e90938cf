//! What a simulator can be told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{faults::Fault, rates::RateLimits, sandbox_rules::SandboxRules, timing::Timing};

/// Settings of one simulator. Start from [`SimConfig::fast`] or [`SimConfig::fly_like`] and set what matters.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Every delay.
    pub timing: Timing,
    /// Fly's rate limits, or none.
    pub rates: RateLimits,
    /// The only token that is accepted; without one, any that is not empty.
    pub token: Option<SecretString>,
    /// The organization of every app.
    pub org_slug: String,
    /// How many machines the organization may have, stopped ones included.
    pub machine_limit: Option<usize>,
    /// Seed of every id.
    pub seed: u64,
    /// The time of day at the start; without one, the real one.
    pub epoch: Option<DateTime<Utc>>,
    /// Secrets that every app is born with: what an operator's provisioning of new apps does.
    pub app_secrets: Vec<(String, SecretString)>,
    /// How sandboxes behave.
    pub sandbox: SandboxRules,
    /// How often a serving sandbox calls home (heartbeat, and a new token in good time); never without. Only where `GASTOWN_CLOUD_URL` is in its environment.
    pub heartbeat: Option<Duration>,
    /// Faults that are on the schedule from the start.
    pub faults: Vec<Fault>,
}

impl SimConfig {
    /// For tests: milliseconds, no rate limits.
    pub fn fast() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            timing: Timing::fast(),
            rates: RateLimits::Off,
            token: None,
            org_slug: "personal".to_owned(),
            machine_limit: None,
            seed: 1,
            epoch: None,
            app_secrets: Vec::new(),
            sandbox: SandboxRules::default(),
            heartbeat: None,
            faults: Vec::new(),
        }
    }

    /// For demonstrations: the pace and the limits of the real service.
    pub fn fly_like() -> Self {
        Self {
            timing: Timing::fly_like(),
            rates: RateLimits::Fly,
            heartbeat: Some(Duration::from_secs(10)),
            ..Self::fast()
        }
    }
}
