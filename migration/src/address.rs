//! The address of a database. It is judged completely before a part of it reaches the driver, a resolver or a log.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sea_orm_migration::sea_orm::sqlx::ConnectOptions as _;
use sea_orm_migration::sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The name that Postgres shows for our sessions, unless the address has another.
const APPLICATION: &str = "gastown";

/// A judged address. `Debug` shows only which database it is.
#[derive(Clone)]
pub enum DatabaseAddress {
    /// A Postgres server.
    Postgres(Box<PostgresAddress>),
    /// A SQLite file, or a database in memory.
    Sqlite(SqliteAddress),
}

/// The judged address of a Postgres server.
#[derive(Clone)]
pub struct PostgresAddress {
    options: PgConnectOptions,
    chooses_encryption: bool,
}

/// The judged address of a SQLite file.
#[derive(Clone)]
pub struct SqliteAddress(String);

/// A mistake in an address. It contains no part of the address, except the name of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The address belongs to neither database.
    #[error("must begin with postgres:// or sqlite://")]
    UnknownDatabase,
    /// This build has no SQLite.
    #[error("is of SQLite, which this build does not have: turn the feature `sqlite` on")]
    SqliteMissing,
    /// A parser would drop some of these characters, and keep others.
    #[error("contains white space or a control character")]
    WhiteSpace,
    /// A character of the user or the password ends a part of the address, so that the rest would become a host or path.
    #[error("has a user or password with a special character such as @, /, ?, # or %: percent-encode the password")]
    NotEncoded,
    /// The driver connects to one server only.
    #[error("has several hosts, which is not supported")]
    SeveralHosts,
    /// The host, the port, or a percent-encoded part cannot be read.
    #[error("is malformed: check host and port, and percent-encode the password")]
    Malformed,
    /// A parameter that would be ignored.
    #[error("has the parameter {name}, which is not supported{advice}")]
    UnsupportedParameter {
        /// The name of the parameter.
        name: String,
        /// An addition about its replacement, or nothing.
        advice: &'static str,
    },
    /// A parameter with a value that is not supported.
    #[error("has an invalid value of the parameter {name}: must be {expected}")]
    InvalidParameter {
        /// The name of the parameter.
        name: &'static str,
        /// The accepted values, in words.
        expected: &'static str,
    },
    /// Only one of two values could count.
    #[error("has the parameter {name} more than once")]
    RepeatedParameter {
        /// The name of the parameter.
        name: &'static str,
    },
}

/// A parameter of an address that is supported.
struct Parameter {
    name: &'static str,
    /// Other names of it.
    aliases: &'static [&'static str],
    /// The accepted values, in words.
    expected: &'static str,
    accepts: fn(&str) -> bool,
    /// True if the parameter asks for what happens anyway. The driver does not know it.
    is_implied: bool,
}

const fn parameter(name: &'static str, expected: &'static str, accepts: fn(&str) -> bool) -> Parameter {
    Parameter { name, aliases: &[], expected, accepts, is_implied: false }
}

const fn implied(name: &'static str, expected: &'static str, accepts: fn(&str) -> bool) -> Parameter {
    Parameter { name, aliases: &[], expected, accepts, is_implied: true }
}

const POSTGRES: [Parameter; 16] = [
    Parameter {
        aliases: &["ssl-mode"],
        ..parameter("sslmode", "disable, allow, prefer, require, verify-ca or verify-full", |value| {
            matches!(value, "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full")
        })
    },
    Parameter {
        aliases: &["ssl-root-cert", "ssl-ca"],
        ..parameter("sslrootcert", "a file; without it, the root certificates of Mozilla are used", |value| {
            is_given(value) && value != "system"
        })
    },
    Parameter { aliases: &["ssl-cert"], ..parameter("sslcert", "a file", is_given) },
    Parameter { aliases: &["ssl-key"], ..parameter("sslkey", "a file", is_given) },
    parameter("host", "one host or the folder of a socket", |value| is_given(value) && !value.contains(',')),
    parameter("port", "one port", |value| value.parse::<u16>().is_ok()),
    parameter("dbname", "a name", is_given),
    parameter("user", "a name", is_given),
    parameter("password", "a password", is_given),
    parameter("application_name", "a name", is_given),
    parameter("options", "options of the server", is_given),
    parameter("statement-cache-capacity", "a number", |value| value.parse::<usize>().is_ok()),
    implied("channel_binding", "disable or prefer, because channel binding is not supported", is_never_or_perhaps),
    implied("gssencmode", "disable or prefer, because GSSAPI is not supported", is_never_or_perhaps),
    implied("target_session_attrs", "any, because only one host is supported", |value| value == "any"),
    implied("client_encoding", "UTF8", |value| matches!(value.to_ascii_lowercase().as_str(), "utf8" | "utf-8")),
];

const SQLITE: [Parameter; 4] = [
    parameter("mode", "ro, rw, rwc or memory", |value| matches!(value, "ro" | "rw" | "rwc" | "memory")),
    parameter("cache", "private or shared", |value| matches!(value, "private" | "shared")),
    parameter("immutable", "true or false", |value| matches!(value, "true" | "1" | "false" | "0")),
    parameter("vfs", "a name", is_given),
];

/// Parameters of other drivers, with what to use instead.
const ADVICE: [(&str, &str); 6] = [
    ("ssl", "; use sslmode"),
    ("schema", "; use options=-c%20search_path=NAME"),
    ("currentSchema", "; use options=-c%20search_path=NAME"),
    ("hostaddr", "; use host"),
    ("sslpassword", "; use a key without a password"),
    ("connection_limit", "; use DATABASE_MAX_CONNECTIONS"),
];

/// Parameters that other drivers and poolers know, which a message may therefore show.
const OF_OTHER_DRIVERS: [&str; 21] = [
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_idle",
    "krbsrvname",
    "load_balance_hosts",
    "passfile",
    "pgbouncer",
    "pool_timeout",
    "replication",
    "require_auth",
    "service",
    "socket_timeout",
    "sslcompression",
    "sslcrl",
    "sslnegotiation",
    "statement_timeout",
    "tcp_user_timeout",
    "timeout",
];

fn is_given(value: &str) -> bool {
    !value.is_empty()
}

fn is_never_or_perhaps(value: &str) -> bool {
    matches!(value, "disable" | "prefer")
}

impl FromStr for DatabaseAddress {
    type Err = AddressError;

    fn from_str(raw: &str) -> Result<Self, AddressError> {
        if raw.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(AddressError::WhiteSpace);
        }
        let postgres = raw.strip_prefix("postgres://").or_else(|| raw.strip_prefix("postgresql://"));
        match (postgres, raw.strip_prefix("sqlite:")) {
            (Some(rest), _) => postgres_address(rest).map(Box::new).map(Self::Postgres),
            (None, Some(rest)) if cfg!(feature = "sqlite") => {
                let query = rest.split_once('?').map_or("", |(_, query)| query);
                judged_parameters(query, &SQLITE)?;
                Ok(Self::Sqlite(SqliteAddress(raw.to_owned())))
            }
            (None, Some(_)) => Err(AddressError::SqliteMissing),
            (None, None) => Err(AddressError::UnknownDatabase),
        }
    }
}

fn postgres_address(rest: &str) -> Result<PostgresAddress, AddressError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    let is_ambiguous = authority.matches('@').count() > 1 || path_and_query.contains(['@', '#']);
    if is_ambiguous || !is_percent_encoded(rest) {
        return Err(AddressError::NotEncoded);
    }
    if authority.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) {
        return Err(AddressError::SeveralHosts);
    }
    let mut url = Url::parse(&format!("postgres://{rest}")).map_err(|_| AddressError::Malformed)?;
    let parameters = judged_parameters(url.query().unwrap_or_default(), &POSTGRES)?;
    let has = |name: &str| parameters.iter().any(|(known, _)| known.name == name);
    let (chooses_encryption, is_named) = (has("sslmode"), has("application_name"));
    url.set_query(None);
    for (known, value) in parameters.iter().filter(|(known, _)| !known.is_implied) {
        url.query_pairs_mut().append_pair(known.name, value);
    }
    if url.password().is_none() && !has("password") && !is_password_in_environment() {
        // An empty password is sent as none would be. With none, the driver reads `.pgpass` and logs its malformed lines,
        // with their passwords.
        url.query_pairs_mut().append_pair("password", "");
    }
    let options = PgConnectOptions::from_url(&url).map_err(|_| AddressError::Malformed)?.disable_statement_logging();
    // `PGSSLMODE` chooses too.
    let chooses_encryption = chooses_encryption || !matches!(options.get_ssl_mode(), PgSslMode::Prefer);
    let options = if is_named { options } else { options.application_name(APPLICATION) };
    // PgBouncer refuses this option of the start, and our columns need none of it.
    let options = options.extra_float_digits(None);
    Ok(PostgresAddress { options, chooses_encryption })
}

/// Returns true if the driver finds a password in `PGPASSWORD`.
fn is_password_in_environment() -> bool {
    std::env::var_os("PGPASSWORD").is_some_and(|password| password.to_str().is_some())
}

/// Returns the known parameters with their values.
fn judged_parameters(
    query: &str,
    known: &'static [Parameter],
) -> Result<Vec<(&'static Parameter, String)>, AddressError> {
    let mut seen = BTreeSet::new();
    let mut parameters = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let is_it = |one: &&Parameter| one.name == name || one.aliases.contains(&&*name);
        let Some(found) = known.iter().find(is_it) else { return Err(unsupported(&name)) };
        if !(found.accepts)(&value) {
            return Err(AddressError::InvalidParameter { name: found.name, expected: found.expected });
        }
        if !seen.insert(found.name) {
            return Err(AddressError::RepeatedParameter { name: found.name });
        }
        parameters.push((found, value.into_owned()));
    }
    Ok(parameters)
}

/// Names a parameter that other drivers know. Another name may be a part of a password, after an unencoded `&`.
fn unsupported(name: &str) -> AddressError {
    let advice = ADVICE.iter().find(|(known, _)| *known == name).map_or("", |(_, advice)| advice);
    let is_known = !advice.is_empty() || OF_OTHER_DRIVERS.contains(&name);
    AddressError::UnsupportedParameter { name: if is_known { name } else { "with an unknown name" }.to_owned(), advice }
}

/// Returns true if each percent sign begins a byte in hexadecimal.
fn is_percent_encoded(text: &str) -> bool {
    let is_byte = |after: &str| after.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(is_byte)
}

impl PostgresAddress {
    /// Returns the options of the driver. They contain the password, and their `Debug` shows it.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Returns the host if the address does not choose by `sslmode` how to protect the connection to it. A socket needs no
    /// protection.
    pub fn host_without_sslmode(&self) -> Option<&str> {
        let is_socket = self.options.get_socket().is_some() || self.options.get_host().starts_with('/');
        (!self.chooses_encryption && !is_socket).then(|| self.options.get_host())
    }
}

impl SqliteAddress {
    /// Returns the address for the driver.
    pub fn url(&self) -> &str {
        &self.0
    }

    /// Returns true for a database that exists only as long as its one connection.
    pub fn is_in_memory(&self) -> bool {
        self.0.contains(":memory:")
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("DatabaseAddress::Postgres"),
            Self::Sqlite(_) => f.write_str("DatabaseAddress::Sqlite"),
        }
    }
}

#[cfg(test)]
mod tests;
