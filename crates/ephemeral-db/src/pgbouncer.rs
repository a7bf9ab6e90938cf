use std::path::{Path, PathBuf};

use url::Url;

use crate::EphemeralDbError;
use crate::account::Account;
use crate::cluster::{create_directory, wait_until};
use crate::programs;
use crate::proxy::ServerAddress;
use crate::supervisor::{EndBy, Supervisor};

/// The number in the name of the socket. Each pooler has a directory of its own, so it cannot conflict.
const PORT: u16 = 6432;

/// The time after which PgBouncer gives a connection to another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// When its client disconnects.
    Session,
    /// After each transaction.
    Transaction,
    /// After each statement.
    Statement,
}

impl PoolMode {
    fn text(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// An installed PgBouncer in front of a database, with the defaults of its package except where tests need others.
///
/// It listens on a socket in a temporary directory. When the value is dropped or the process ends in any way, it stops and
/// its directory is removed.
pub struct PgBouncer {
    url: String,
    _server: Supervisor,
}

impl PgBouncer {
    /// Starts a PgBouncer in front of the database at this URL, with at most this many connections to it.
    ///
    /// Further settings have the form `name = value`.
    pub async fn in_front_of(
        database: &str,
        mode: PoolMode,
        connections: u32,
        settings: &[&str],
    ) -> Result<Self, EphemeralDbError> {
        let program = program()?;
        let url = Url::parse(database).map_err(|error| EphemeralDbError::Url(Some(error)))?;
        let account = Account::to_switch_to()?;
        let directory = create_directory(account)?;
        let configuration = directory.path().join("pgbouncer.ini");
        let text = configuration_of(&url, mode, connections, directory.path(), settings)?;
        std::fs::write(&configuration, text)
            .map_err(|source| EphemeralDbError::Prepare { path: configuration.clone(), source })?;
        let started =
            Supervisor::start(directory.path(), account, EndBy::Term, &program, &[&configuration.to_string_lossy()]);
        let mut server = started.map_err(|source| EphemeralDbError::Run { program, source })?;
        // From now on the supervisor removes the directory, even if this process is killed.
        let directory = directory.keep();
        let socket = directory.join(format!(".s.PGSQL.{PORT}"));
        let answered = wait_until(|| socket.exists() || server.has_ended()).await;
        if !answered || server.has_ended() {
            return Err(EphemeralDbError::PgBouncerNotReady { log: server.log() });
        }
        Ok(Self { url: pooled_url(url, &directory), _server: server })
    }

    /// Returns true if a PgBouncer is installed.
    pub fn is_installed() -> bool {
        program().is_ok()
    }

    /// Returns the URL of the database through the pooler.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn program() -> Result<PathBuf, EphemeralDbError> {
    programs::pgbouncer().ok_or(EphemeralDbError::PgBouncerNotInstalled)
}

/// Returns the configuration. Clients need no password, and every database of the server can be reached.
fn configuration_of(
    url: &Url,
    mode: PoolMode,
    connections: u32,
    directory: &Path,
    settings: &[&str],
) -> Result<String, EphemeralDbError> {
    let (host, port) = match ServerAddress::of(url)? {
        ServerAddress::Socket(path) => {
            let (folder, name) = (path.parent().unwrap_or(&path), path.extension().unwrap_or_default());
            (folder.display().to_string(), name.to_string_lossy().into_owned())
        }
        ServerAddress::Port(host, port) => (host, port.to_string()),
    };
    let decoded = |part: &str| {
        let decoded = url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned());
        quoted(&decoded.unwrap_or_default())
    };
    let user = decoded(url.username());
    let password = url.password().map_or(String::new(), |password| format!(" password={}", decoded(password)));
    let (host, mode, directory) = (quoted(&host), mode.text(), directory.display());
    let settings = settings.join("\n");
    Ok(format!(
        "[databases]\n* = host={host} port={port} user={user}{password}\n\
         [pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {directory}\nauth_type = any\n\
         pool_mode = {mode}\ndefault_pool_size = {connections}\nmax_client_conn = 500\n{settings}\n"
    ))
}

/// Quotes a value of a connection.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Returns the URL of the same database through a socket in this directory.
fn pooled_url(mut url: Url, directory: &Path) -> String {
    url.set_query(Some(&format!("host={}&port={PORT}&sslmode=disable", directory.display())));
    // The host of the query counts.
    let _unchanged_if_refused = url.set_host(Some("localhost"));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_leads_to_the_server_of_the_url() {
        for (url, want) in [
            ("postgres://postgres@localhost/a?host=/tmp/pg", "* = host='/tmp/pg' port=5432 user='postgres'\n"),
            ("postgres://u:p%27q@db.test:6000/a", "* = host='db.test' port=6000 user='u' password='p''q'\n"),
        ] {
            let url = Url::parse(url).unwrap();
            let text = configuration_of(&url, PoolMode::Session, 3, Path::new("/tmp/x"), &["a = b"]).unwrap();
            assert!(text.contains(want) && text.contains("pool_mode = session\ndefault_pool_size = 3"), "{text}");
            assert!(text.ends_with("\na = b\n"), "{text}");
            let pooled = pooled_url(url, Path::new("/tmp/x"));
            assert!(
                pooled.ends_with("@localhost:6000/a?host=/tmp/x&port=6432&sslmode=disable")
                    || pooled.ends_with("@localhost/a?host=/tmp/x&port=6432&sslmode=disable"),
                "{pooled}"
            );
        }
    }
}
