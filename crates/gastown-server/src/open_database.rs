use gastown_persistence::{Database, DatabaseSettings};

use crate::start_error::StartError;

/// Connects to the registry's database, and migrates it if requested. Fails if its schema is not up to date.
///
/// Errors: `Connect`, `Migrate`, `Schema`, `PendingMigrations`.
pub(crate) async fn open(settings: &DatabaseSettings, migrate: bool) -> Result<Database, StartError> {
    let database = Database::connect(settings).await.map_err(StartError::Connect)?;
    if migrate {
        database.migrate().await.map_err(StartError::Migrate)?;
    }
    let pending = database.pending_migrations().await.map_err(StartError::Schema)?;
    if pending.is_empty() { Ok(database) } else { Err(StartError::PendingMigrations { pending }) }
}
