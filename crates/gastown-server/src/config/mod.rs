//! The settings, all checked at start. All mistakes are reported at once, by name and never by value.

mod console;
mod explained;
mod fly;
mod http;
mod http_limits;
mod list;
mod listen_host;
mod logs;
mod metrics;
mod origin;
mod policy;
mod sandbox;
mod secret_rules;
mod secrets;
#[cfg(test)]
mod tests;
mod traces;

use gastown_domain::{ImageRef, Region};
use gastown_fly::FlyRegion;
use gastown_orchestrator::{MachineTemplate, Settings, Timeouts, ValidPolicy};
use gastown_persistence::BlockedColumn;
use gastown_sandbox::UrlTemplate;
use migration::address::DatabaseAddress;
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings_source::{Mistake, Reader, Source};
pub use console::{ConsoleConfig, OperatorToken};
pub(crate) use explained::example;
pub use explained::{Default as SettingDefault, SETTINGS, Setting};
pub use fly::FlyConfig;
pub use http::HttpConfig;
pub use http_limits::{CallLimits, HttpLimits};
use list::List;
pub use listen_host::ListenHost;
pub use logs::LogFormat;
pub use metrics::{ListenAddress, MetricsConfig};
pub(crate) use sandbox::SandboxAccess;
pub use secrets::SecretsConfig;
pub(crate) use secrets::{KeyIds, TokenConfig};
pub(crate) use traces::TracesConfig;

/// The most connections of a pool. The pool reserves memory for all of them, and Postgres has no thousand to give.
const MAX_DATABASE_CONNECTIONS: u32 = 1000;

/// The settings of `gastown serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// `DATABASE_MAX_CONNECTIONS`, by default 10.
    pub database_max_connections: u32,
    /// `DATABASE_READ_CONNECTIONS`, by default 4.
    pub database_read_connections: u32,
    /// `BLOCKED_COLUMN`. Without it, `blocked_reason` is used where the host's user table has it.
    pub blocked_column: Option<BlockedColumn>,
    /// `MIGRATE_ON_START`: migrates the schema before serving.
    pub migrate_on_start: bool,
    /// The HTTP server.
    pub http: HttpConfig,
    /// The endpoint for Prometheus.
    pub metrics: MetricsConfig,
    /// The console for operators.
    pub console: ConsoleConfig,
    /// The calls to Fly.
    pub fly: FlyConfig,
    /// `SANDBOX_URL`.
    pub sandbox_url: UrlTemplate,
    /// Secrets and tokens.
    pub secrets: SecretsConfig,
    /// The settings of the orchestrator.
    pub orchestrator: Settings,
}

/// Settings are missing or invalid. The error names all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Every mistake, in the order in which the settings are read.
    pub mistakes: Vec<Mistake>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} setting(s) are missing or invalid:", self.mistakes.len())?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The names of all settings. `docs/operations.md` explains them.
    pub const NAMES: [&str; 82] = [
        "BLOCKED_COLUMN",
        "CALLER_WAIT_SECONDS",
        "CALL_QUEUE_MILLISECONDS",
        "CHANGES_PER_MINUTE",
        "CONSOLE_LISTEN",
        "CONSOLE_TOKEN",
        "CONSOLE_TOKENS",
        "CORS_ALLOWED_ORIGINS",
        "CREATE_PATIENCE_SECONDS",
        "DATABASE_MAX_CONNECTIONS",
        "DATABASE_READ_CONNECTIONS",
        "DATABASE_URL",
        "EVENT_RETENTION_DAYS",
        "FLY_API_BASE_URL",
        "FLY_API_TOKEN",
        "FLY_APP_NAME",
        "FLY_APP_PREFIX",
        "FLY_IMAGE",
        "FLY_ORG_SLUG",
        "FLY_RATE_LIMITS",
        "FLY_REGIONS",
        "GASTOWN_CLOUD_URL",
        "HOST",
        "HTTP_BATCH_CONCURRENCY",
        "HTTP_BODY_SECONDS",
        "HTTP_HEAD_SECONDS",
        "HTTP_IDLE_SECONDS",
        "HTTP_MAX_CONNECTIONS",
        "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
        "HTTP_WRITE_SECONDS",
        "IDEMPOTENCY_KEY_RETENTION_DAYS",
        "INSPECT_SECONDS",
        "INTERNAL_API_SECRET",
        "INTERNAL_API_SECRET_PREVIOUS",
        "KILO_API_URL",
        "LEASE_SECONDS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MAX_ANSWER_BYTES",
        "MAX_BODY_BYTES",
        "MAX_CHANGES",
        "MAX_CHANGES_PER_USER",
        "MAX_OPERATIONS_PER_USER",
        "MAX_READS",
        "MAX_READS_PER_USER",
        "MAX_RIGS_PER_TOWN",
        "MAX_TOWNS_PER_USER",
        "MAX_UNREAD_BYTES_PER_USER",
        "MAX_WAITING_CALLS",
        "MAX_WATCHERS",
        "MAX_WATCHERS_PER_USER",
        "METRICS_LISTEN",
        "METRICS_SECONDS",
        "METRICS_TOKEN",
        "MIGRATE_ON_START",
        "MONITOR_SECONDS",
        "NEXTAUTH_SECRET",
        "NEXTAUTH_SECRET_PREVIOUS",
        "ORPHAN_DELETE",
        "ORPHAN_GRACE_SECONDS",
        "ORPHAN_SWEEP_SECONDS",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_TRACES_SAMPLER_ARG",
        "PORT",
        "R2_ACCESS_KEY",
        "R2_BUCKET",
        "R2_ENDPOINT",
        "R2_SECRET_KEY",
        "REPLICAS",
        "RESTORE_PATIENCE_SECONDS",
        "RETENTION_SWEEP_SECONDS",
        "ROLLOUT_SECONDS",
        "SANDBOX_CALLS_PER_MINUTE",
        "SANDBOX_PUBLIC_KEY",
        "SANDBOX_URL",
        "SHUTDOWN_SECONDS",
        "START_PATIENCE_SECONDS",
        "STOP_PATIENCE_SECONDS",
        "SWEEP_SECONDS",
        "TOKEN_ENV",
        "TOMBSTONE_RETENTION_DAYS",
    ];

    /// Reads and checks all settings.
    ///
    /// Errors: every missing or invalid setting.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        checked(source, Self::parts)
    }

    /// Reads every part before returning, so that all mistakes are reported together.
    fn parts(reader: &mut Reader<'_>) -> Option<Self> {
        let database_url = database_url(reader);
        let database_max_connections = reader.count("DATABASE_MAX_CONNECTIONS", 10, MAX_DATABASE_CONNECTIONS);
        let database_read_connections = reader.count("DATABASE_READ_CONNECTIONS", 4, MAX_DATABASE_CONNECTIONS);
        let blocked_column = reader.optional("BLOCKED_COLUMN");
        let migrate_on_start = reader.or("MIGRATE_ON_START", false);
        let http = http::http(reader);
        let metrics = metrics::metrics(reader);
        let console = console::console(reader);
        traces::check(reader);
        let policy = policy::policy(reader);
        let fly = fly::fly(reader);
        let sandbox_url = sandbox::sandbox_url(reader);
        secret_rules::check(reader, &secret_rules::KEYS, &secret_rules::ISSUED);
        let secrets = secrets::secrets(reader);
        let regions = regions(reader);
        let image: Option<ImageRef> = reader.required("FLY_IMAGE");
        let env = sandbox::sandbox_env(reader);
        logs::check(reader);
        let fly = fly?;
        let apps = fly.app.clone();
        let machine = MachineTemplate::of(image?);
        Some(Self {
            database_url: database_url?,
            database_max_connections,
            database_read_connections,
            blocked_column,
            migrate_on_start,
            http,
            metrics,
            console,
            fly,
            sandbox_url: sandbox_url?,
            secrets: secrets?,
            orchestrator: Settings { apps, regions: regions?, machine, env: env?, policy: policy? },
        })
    }
}

/// The settings of `gastown orphans`. It needs no secrets except those of the database and Fly.
#[derive(Debug, Clone)]
pub struct OrphansConfig {
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// The calls to Fly.
    pub fly: FlyConfig,
    /// The policy of orphans.
    pub policy: ValidPolicy,
}

impl OrphansConfig {
    /// Reads and checks only these settings.
    ///
    /// Errors: every missing or invalid setting of these.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        checked(source, |reader| {
            let database_url = database_url(reader);
            let policy = policy::policy(reader);
            secret_rules::check(reader, &[], &["FLY_API_TOKEN"]);
            let fly = fly::fly(reader);
            Some(Self { database_url: database_url?, fly: fly?, policy: policy? })
        })
    }
}

/// The settings of commands that write towns and rigs as a server would.
#[derive(Debug, Clone)]
pub(crate) struct CreationConfig {
    /// `FLY_REGIONS`.
    pub(crate) regions: Vec<Region>,
    /// The time limits and limits.
    pub(crate) policy: ValidPolicy,
}

impl CreationConfig {
    /// Reads and checks only these settings.
    ///
    /// Errors: every invalid setting of these.
    pub(crate) fn read(source: &Source) -> Result<Self, ConfigError> {
        checked(source, |reader| {
            let (policy, regions) = (policy::policy(reader), regions(reader));
            Some(Self { regions: regions?, policy: policy? })
        })
    }
}

/// Returns what `read` returns, unless there are mistakes.
fn checked<T>(source: &Source, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Result<T, ConfigError> {
    let mut reader = Reader::new(source);
    let config = read(&mut reader);
    let mistakes = reader.into_mistakes();
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(ConfigError { mistakes }),
    }
}

/// Reads the time limits of operations for commands that request one.
///
/// Errors: every invalid setting of the policy.
pub(crate) fn operation_timeouts(source: &Source) -> Result<Timeouts, ConfigError> {
    checked(source, |reader| Some(policy::policy(reader)?.timeouts.clone()))
}

/// Reads and judges the address of the database for commands that need no other setting.
///
/// Errors: `DATABASE_URL` is missing or invalid.
pub(crate) fn required_database_url(source: &Source) -> Result<SecretString, ConfigError> {
    checked(source, database_url)
}

fn database_url(reader: &mut Reader<'_>) -> Option<SecretString> {
    let url = reader.required_secret("DATABASE_URL")?;
    match url.expose_secret().parse::<DatabaseAddress>() {
        Ok(_) => Some(url),
        Err(problem) => {
            reader.wrong("DATABASE_URL", &format!("is invalid: {problem}"));
            None
        }
    }
}

fn regions(reader: &mut Reader<'_>) -> Option<Vec<Region>> {
    let regions = match reader.optional::<List<FlyRegion>>("FLY_REGIONS") {
        Some(List(regions)) => regions.into_iter().map(Region::from).collect(),
        None => vec!["iad".parse().ok()?],
    };
    if regions.is_empty() {
        reader.wrong("FLY_REGIONS", "is invalid: must name at least one region");
    }
    (!regions.is_empty()).then_some(regions)
}
