//! The settings of a simulator.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    access_log::AccessLog, api::ExecMode, faults::Fault, rate_limit::RateLimits, scenario::Scenario,
    seed::SeedDocument, timing::Timing, workload::Workload,
};

/// The settings of a simulator. Start from [`SimConfig::fast`] or [`SimConfig::fly_like`] and override fields.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// The address to listen on. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The delays of the simulated world.
    pub timing: Timing,
    /// The rate limits of the API.
    pub rates: RateLimits,
    /// The only token that is accepted. If `None`, every token that is not empty is accepted.
    pub token: Option<SecretString>,
    /// The organization of every app.
    pub org_slug: String,
    /// The maximum number of machines in the organization, including stopped ones.
    pub machine_limit: Option<usize>,
    /// The seed of all generated ids.
    pub seed: u64,
    /// The wall clock time at the start. If `None`, the real time.
    pub epoch: Option<DateTime<Utc>>,
    /// The secrets that every new app has, as an operator's provisioning would set them.
    pub app_secrets: Vec<(String, SecretString)>,
    /// The way in which commands are executed on machines.
    pub exec: ExecMode,
    /// The programs in machines. If `None`, a started machine serves nothing.
    pub workload: Option<Arc<dyn Workload>>,
    /// The apps, volumes, machines and secrets that exist from the start, and again after a reset.
    pub initial: SeedDocument,
    /// The file that keeps the world across restarts. If it exists, it is used instead of `initial`.
    ///
    /// It is written within half a second after a change, and at the end. It has the values of secrets. It also keeps
    /// the schedule of faults, the scenario, the attachments and the last 1,000 calls.
    pub state_file: Option<PathBuf>,
    /// The faults that are scheduled from the start.
    pub faults: Vec<Fault>,
    /// Programs on this computer by machine, which is named as `app/name`.
    pub attachments: Vec<(String, String)>,
    /// The time without a request after which the proxy stops a machine whose service has `autostop`.
    ///
    /// Machines that no request has reached are not stopped.
    pub autostop_after: Duration,
    /// The scenario that is in force from the start.
    pub scenario: Option<&'static Scenario>,
    /// The number of calls that the journal keeps. Older ones are forgotten.
    pub journal_limit: usize,
    /// The form of the line that is written to standard error for each call. If `None`, no lines are written.
    pub access_log: Option<AccessLog>,
    /// False skips the checks against Fly's OpenAPI document, which take most of the time of a call.
    pub checks_contract: bool,
}

impl SimConfig {
    /// Returns settings for tests: delays of milliseconds and no rate limits.
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
            exec: ExecMode::Simulated,
            workload: None,
            initial: SeedDocument::default(),
            state_file: None,
            faults: Vec::new(),
            attachments: Vec::new(),
            autostop_after: Duration::from_secs(300),
            scenario: None,
            journal_limit: 1_000_000,
            access_log: None,
            checks_contract: true,
        }
    }

    /// Returns settings for demonstrations: the timing and the rate limits of the real service.
    pub fn fly_like() -> Self {
        Self { timing: Timing::fly_like(), rates: RateLimits::Fly, ..Self::fast() }
    }
}
