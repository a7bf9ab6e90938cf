//! The checks that a running server makes of itself, for the operators' API.

use std::time::Duration;

use gastown_domain::AppPlacement;
use gastown_domain::ports::Clock as _;
use gastown_fly::Fly;
use gastown_persistence::{Database, DatabaseAddress};
use gastown_system::SystemClock;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{at_fly, image, registry, sandboxes};
use crate::cli::VERSION;
use crate::config::Config;
use crate::reports::{Check, Diagnosis};

/// The time for all checks. It is shorter than that of a client, so what is known is answered.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The settings and the clients of a running server.
pub(crate) struct RunningServer {
    pub(crate) config: Config,
    pub(crate) database: Database,
    /// The client of Fly. `None`: there is none.
    pub(crate) fly: Option<Fly>,
}

impl RunningServer {
    /// Runs all checks, within a minute. Changes nothing.
    pub(crate) async fn diagnosis(&self) -> Diagnosis {
        self.diagnosis_within(TIMEOUT).await
    }

    async fn diagnosis_within(&self, limit: Duration) -> Diagnosis {
        let mut checks = vec![settings(&self.config)];
        if timeout(limit, self.examine(&mut checks)).await.is_err() {
            let detail = format!("the checks above took {} s, and the others were left out", limit.as_secs());
            checks.push(Check::failed(
                "time",
                &detail,
                "repeat it; if it fails again, look at what the last check calls",
            ));
        }
        Diagnosis { version: VERSION.clone(), now: SystemClock.now().into(), checks }
    }

    async fn examine(&self, checks: &mut Vec<Check>) {
        let Self { config, database, fly } = self;
        checks.push(image(config));
        let is_usable = registry::schema(&config.database_url, checks).await;
        if is_usable {
            checks.push(registry::clock(database).await);
        }
        match fly {
            Some(fly) => at_fly::with(fly, &config.fly.app, Some(config), checks).await,
            None => checks.push(Check::skipped("Fly: token and app", "this server has no client of Fly")),
        }
        sandboxes::check(Some(config), is_usable.then_some(database), checks).await;
    }
}

/// Names the settings that are no secrets and that operators mix up.
fn settings(config: &Config) -> Check {
    let database = match config.database_url.expose_secret().parse() {
        Ok(DatabaseAddress::Sqlite(_)) => "SQLite",
        Ok(DatabaseAddress::Postgres(_)) => "Postgres",
        Err(_) => "an unknown database",
    };
    let apps = match &config.fly.app {
        AppPlacement::Shared(app) => format!("the app {app}"),
        AppPlacement::PerUser { organization, prefix } => format!("the apps {prefix}-… of {organization}"),
    };
    let regions: Vec<_> = config.orchestrator.regions.iter().map(ToString::to_string).collect();
    let replicas = config.fly.replicas;
    let actions = if config.console.allows_actions { "allowed" } else { "not allowed" };
    let text = format!(
        "the server has started with valid settings: {database}, {apps}, regions {}, REPLICAS {replicas}, actions {actions}",
        regions.join(", ")
    );
    Check::ok("settings", &text)
}
