//! The registry's database: its address, its schema, and the ports on it.

use std::sync::Arc;

use gastown_domain::ports::TownChangeFeed;
use gastown_persistence::{BlockedColumn, Database, DatabaseAddress, DatabaseSettings};
use secrecy::ExposeSecret as _;
use url::Host;

use crate::build_error::{BuildError, Mistakes};
use crate::http_url::is_private_host;
use crate::ports_of_builder::PortSet;

/// Checks the address.
pub(crate) fn check(settings: &DatabaseSettings, mistakes: &mut Mistakes) {
    mistakes.checked("database", settings.url.expose_secret().parse::<DatabaseAddress>());
}

/// Returns the ports on a database.
pub(crate) fn ports(database: &Database) -> PortSet {
    let database = Arc::new(database.clone());
    PortSet {
        registry: Some(database.clone()),
        rigs: Some(database.clone()),
        operations: Some(database.clone()),
        users: Some(database.clone()),
        drift_checks: Some(database.clone()),
        health_checks: Some(database.clone()),
        orphans: Some(database.clone()),
        jobs: Some(database.clone()),
        rollouts: Some(database.clone()),
        history: Some(database.clone()),
        figures: Some(database.clone()),
        readiness: Some(database),
        ..PortSet::default()
    }
}

/// Returns the news of changed towns.
pub(crate) fn changes(database: &Database) -> Arc<dyn TownChangeFeed> {
    Arc::new(database.change_feed())
}

/// Connects to the registry's database, and migrates it if requested. Fails if its schema is not up to date.
///
/// Errors: `Connect`, `Migrate`, `Schema`, `PendingMigrations`.
pub async fn open_database(settings: &DatabaseSettings, migrate: bool) -> Result<Database, BuildError> {
    let database = Database::connect(settings).await.map_err(BuildError::Connect)?;
    if migrate {
        database.migrate().await.map_err(BuildError::Migrate)?;
    }
    let pending = database.pending_migrations().await.map_err(BuildError::Schema)?;
    if pending.is_empty() { Ok(database) } else { Err(BuildError::PendingMigrations { pending }) }
}

/// Warns if the address leaves open how a connection over a public network is protected.
pub(crate) fn warn_without_sslmode(settings: &DatabaseSettings) {
    let Ok(DatabaseAddress::Postgres(address)) = settings.url.expose_secret().parse() else { return };
    let is_open = |host: &str| !Host::parse(host).is_ok_and(|host| is_private_host(&host));
    if address.host_without_sslmode().is_some_and(is_open) {
        tracing::warn!("database address has no sslmode, unencrypted connections are possible");
    }
}

/// Returns a handle that reads if users are blocked. Without a given column, it is the default one where the host's user table
/// has it.
///
/// Errors: `NoBlockedColumn` if the given column is missing, `Schema`.
pub(crate) async fn with_blocked(database: Database, given: Option<&BlockedColumn>) -> Result<Database, BuildError> {
    let column = given.cloned().unwrap_or_default();
    let found = database.clone().with_blocked_column(&column).await.map_err(BuildError::Schema)?;
    match (found, given) {
        (Some(reading), _) => Ok(reading),
        (None, Some(missing)) => Err(BuildError::NoBlockedColumn { name: missing.as_str().to_owned() }),
        (None, None) => Ok(database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured_log::CapturedLog;

    #[test]
    fn open_choice_of_encryption_is_logged_for_other_machines() {
        for (url, warned) in [
            ("postgres://u:canary@db.example.com/db", true),
            ("postgres://u:canary@10.0.0.1/db", true),
            ("postgres://u:canary@db.example.com/db?sslmode=prefer", false),
            ("postgres://u:canary@db.example.com/db?sslmode=verify-full", false),
            ("postgres://u:canary@localhost/db", false),
            ("postgres://u:canary@127.0.0.1/db", false),
            ("postgres://u:canary@[::1]/db", false),
            ("postgres://u:canary@db.internal/db", false),
            ("postgres://u:canary@db.flycast/db", false),
            ("postgres:///db?host=/run/pg", false),
            ("sqlite://town.db", false),
        ] {
            let log = CapturedLog::default();
            let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
            tracing::subscriber::with_default(subscriber, || warn_without_sslmode(&DatabaseSettings::at(url)));
            let lines = log.take_lines().concat();
            assert_eq!(lines.contains("database address has no sslmode"), warned, "{url}: {lines}");
            assert!(!lines.contains("canary") && !lines.contains("example"), "{lines}");
        }
    }
}
