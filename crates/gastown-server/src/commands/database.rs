//! The database of commands that need nothing else.

use gastown::open_database;
use gastown_persistence::{Database, DatabaseSettings};

use crate::config::required_database_url;
use crate::settings_source::Source;
use crate::start_error::StartError;

/// Enough for one command.
const CONNECTIONS: u32 = 2;

/// Opens the database of `DATABASE_URL`.
///
/// Errors: the setting is missing, the database does not answer, or has pending migrations.
pub(super) async fn open(source: &Source) -> anyhow::Result<Database> {
    let url = required_database_url(source)?;
    let settings = DatabaseSettings { max_connections: CONNECTIONS, read_connections: 0, ..DatabaseSettings::at(url) };
    Ok(open_database(&settings, false).await.map_err(StartError::from)?)
}
