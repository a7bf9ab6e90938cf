//! The database of commands that need nothing else.

use anyhow::bail;
use gastown::open_database;
use gastown_persistence::{Database, DatabaseAddress, DatabaseSettings};
use migration::{MigrateError, at_url};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::required_database_url;
use crate::settings_source::Source;
use crate::start_error::StartError;

/// Enough for one command.
const CONNECTIONS: u32 = 2;

/// Opens the database of `DATABASE_URL`. Never creates one.
///
/// Errors: the setting is missing, the database does not exist or does not answer, or has pending migrations.
pub(super) async fn open(source: &Source) -> anyhow::Result<Database> {
    let url = required_database_url(source)?;
    require_file(&url).await?;
    let settings = DatabaseSettings { max_connections: CONNECTIONS, read_connections: 0, ..DatabaseSettings::at(url) };
    Ok(open_database(&settings, false).await.map_err(StartError::from)?)
}

/// Fails if the address is that of a SQLite file that does not exist, because a connection would create it.
pub(super) async fn require_file(url: &SecretString) -> anyhow::Result<()> {
    let Ok(DatabaseAddress::Sqlite(_)) = url.expose_secret().parse() else { return Ok(()) };
    match at_url::status(url.expose_secret()).await {
        Err(MigrateError::NoSuchDatabase(_)) => bail!(
            "there is no database file at DATABASE_URL, and none was created: correct the path, or run \
             `gastown migrate up`"
        ),
        // Opening it reports every other problem.
        Ok(_) | Err(_) => Ok(()),
    }
}
