//! The registry's database, opened where its schema is the one this program knows.

use gastown_persistence::{Database, DatabaseSettings};

use crate::control_plane::StartError;

/// Connects, brings the schema up to date where that is wanted, and makes sure that nothing of it is missing.
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
