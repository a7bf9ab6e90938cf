//! The registry, for commands that need nothing else.

use gastown_persistence::{Database, DatabaseSettings};

use crate::open_database;
use crate::settings_source::Source;

/// Two connections are enough for one command.
const CONNECTIONS: u32 = 2;

/// Opens the database of `DATABASE_URL`.
///
/// Errors: it is not named, does not answer, or lacks migrations.
pub(super) async fn open(source: &Source) -> anyhow::Result<Database> {
    let url = source.required("DATABASE_URL")?.to_owned();
    let settings = DatabaseSettings { max_connections: CONNECTIONS, ..DatabaseSettings::at(url) };
    Ok(open_database::open(&settings, false).await?)
}
