//! The one struct of settings, checked whole at start: all mistakes at once, by name, never by value.

mod fly;
mod http_url;
mod list;
mod policy;
mod secrets;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use gastown_domain::{ImageRef, Region};
use gastown_fly::FlyRegion;
use gastown_orchestrator::{MachineTemplate, SandboxEnv, Settings, ValidPolicy};
use gastown_sandbox::UrlTemplate;
use secrecy::{ExposeSecret as _, SecretString};
use tracing_subscriber::EnvFilter;

use crate::settings_source::{Mistake, Reader, Source};
pub use fly::FlyConfig;
use http_url::HttpUrl;
use list::List;
pub use secrets::SecretsConfig;

/// Everything `gastown serve` is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// `DATABASE_MAX_CONNECTIONS`, 10 where absent.
    pub database_max_connections: u32,
    /// `MIGRATE_ON_START`: brings the schema up to date before serving.
    pub migrate_on_start: bool,
    /// Where and how it listens.
    pub http: HttpConfig,
    /// How Fly is called.
    pub fly: FlyConfig,
    /// `SANDBOX_URL`.
    pub sandbox_url: UrlTemplate,
    /// Secrets and tokens.
    pub secrets: SecretsConfig,
    /// What the orchestrator is told.
    pub orchestrator: Settings,
}

/// Where and how it listens.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `HOST`, `0.0.0.0` where absent.
    pub host: IpAddr,
    /// `PORT`, 8080 where absent; 0 takes a free one.
    pub port: u16,
    /// `CORS_ALLOWED_ORIGINS`: pages that may call from a browser, separated by commas.
    pub allowed_origins: Vec<String>,
    /// `MAX_BODY_BYTES`, 1 MiB where absent.
    pub max_body_bytes: usize,
    /// `SHUTDOWN_SECONDS`, 25 where absent: how long a shutdown waits for what is under way.
    pub shutdown: Duration,
}

/// Settings are missing or wrong. Its text lists every one by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Every mistake, in the order the settings are read.
    pub mistakes: Vec<Mistake>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} setting(s) are missing or wrong:", self.mistakes.len())?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Every setting there is, by name. `docs/operations.md` explains them.
    pub const NAMES: [&str; 42] = [
        "CALLER_WAIT_SECONDS",
        "CORS_ALLOWED_ORIGINS",
        "CREATE_PATIENCE_SECONDS",
        "DATABASE_MAX_CONNECTIONS",
        "DATABASE_URL",
        "FLY_API_BASE_URL",
        "FLY_API_TOKEN",
        "FLY_APP_NAME",
        "FLY_APP_PREFIX",
        "FLY_IMAGE",
        "FLY_ORG_SLUG",
        "FLY_REGIONS",
        "GASTOWN_CLOUD_URL",
        "HOST",
        "INSPECT_SECONDS",
        "INTERNAL_API_SECRET",
        "INTERNAL_API_SECRET_PREVIOUS",
        "KILO_API_URL",
        "LEASE_SECONDS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MAX_BODY_BYTES",
        "MAX_TOWNS_PER_USER",
        "MIGRATE_ON_START",
        "NEXTAUTH_SECRET",
        "NEXTAUTH_SECRET_PREVIOUS",
        "ORPHAN_DELETE",
        "ORPHAN_GRACE_SECONDS",
        "ORPHAN_SWEEP_SECONDS",
        "PORT",
        "R2_ACCESS_KEY",
        "R2_BUCKET",
        "R2_ENDPOINT",
        "R2_SECRET_KEY",
        "REPLICAS",
        "SANDBOX_PUBLIC_KEY",
        "SANDBOX_URL",
        "SHUTDOWN_SECONDS",
        "START_PATIENCE_SECONDS",
        "STOP_PATIENCE_SECONDS",
        "SWEEP_SECONDS",
        "TOKEN_ENV",
    ];

    /// Reads and checks everything.
    ///
    /// Errors: all that is missing or wrong, at once.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        whole(source, Self::parts)
    }

    /// Every part is read before any is missed, so that all mistakes are told together.
    fn parts(reader: &mut Reader<'_>) -> Option<Self> {
        let database_url = database_url(reader);
        let database_max_connections = at_least_one(reader, "DATABASE_MAX_CONNECTIONS", 10);
        let migrate_on_start = reader.or("MIGRATE_ON_START", false);
        let http = http(reader);
        let policy = policy::policy(reader);
        let fly = fly::fly(reader, policy::lease(policy.as_ref()));
        let sandbox_url = reader.optional("SANDBOX_URL").or_else(|| gastown_sandbox::DEFAULT_TEMPLATE.parse().ok());
        let secrets = secrets::secrets(reader);
        let regions = regions(reader);
        let image: Option<ImageRef> = reader.required("FLY_IMAGE");
        let env = sandbox_env(reader);
        logs(reader);
        let fly = fly?;
        let apps = fly.app.clone();
        let machine = MachineTemplate {
            image: image?,
            guest: gastown_domain::Guest::TOWN,
            volume: gastown_domain::Gigabytes::TOWN,
        };
        Some(Self {
            database_url: database_url?,
            database_max_connections,
            migrate_on_start,
            http,
            fly,
            sandbox_url: sandbox_url?,
            secrets: secrets?,
            orchestrator: Settings { apps, regions: regions?, machine, env: env?, policy: policy? },
        })
    }
}

/// What the search for orphans is told: it needs no secret but the database's and Fly's.
#[derive(Debug, Clone)]
pub struct OrphansConfig {
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// How Fly is called.
    pub fly: FlyConfig,
    /// When an orphan may be deleted.
    pub policy: ValidPolicy,
}

impl OrphansConfig {
    /// Reads and checks what it needs, and nothing else.
    ///
    /// Errors: all of it that is missing or wrong, at once.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        whole(source, |reader| {
            let database_url = database_url(reader);
            let policy = policy::policy(reader);
            let fly = fly::fly(reader, policy::lease(policy.as_ref()));
            Some(Self { database_url: database_url?, fly: fly?, policy: policy? })
        })
    }
}

/// What was read, if nothing of it was missing or wrong.
fn whole<T>(source: &Source, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Result<T, ConfigError> {
    let mut reader = Reader::new(source);
    let config = read(&mut reader);
    let mistakes = reader.into_mistakes();
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(ConfigError { mistakes }),
    }
}

fn database_url(reader: &mut Reader<'_>) -> Option<SecretString> {
    let url = reader.required_secret("DATABASE_URL")?;
    let known = migration::at_url::driver_url(url.expose_secret()).is_some();
    if !known {
        reader.wrong("DATABASE_URL", "is wrong: must begin with postgres:// or sqlite://");
    }
    known.then_some(url)
}

fn http(reader: &mut Reader<'_>) -> HttpConfig {
    let origins: List<HttpUrl> = reader.or("CORS_ALLOWED_ORIGINS", List(Vec::new()));
    HttpConfig {
        host: reader.or("HOST", IpAddr::from([0, 0, 0, 0])),
        port: reader.or("PORT", 8080),
        allowed_origins: origins.0.iter().map(HttpUrl::origin).collect(),
        max_body_bytes: at_least_one(reader, "MAX_BODY_BYTES", 1024 * 1024),
        shutdown: Duration::from_secs(reader.or("SHUTDOWN_SECONDS", 25)),
    }
}

fn regions(reader: &mut Reader<'_>) -> Option<Vec<Region>> {
    let regions = match reader.optional::<List<FlyRegion>>("FLY_REGIONS") {
        Some(List(regions)) => regions.into_iter().map(Region::from).collect(),
        None => vec!["iad".parse().ok()?],
    };
    if regions.is_empty() {
        reader.wrong("FLY_REGIONS", "is wrong: must name at least one region");
    }
    (!regions.is_empty()).then_some(regions)
}

fn sandbox_env(reader: &mut Reader<'_>) -> Option<SandboxEnv> {
    let kilo_api_url: Option<HttpUrl> = reader.required("KILO_API_URL");
    let r2_bucket = reader.required("R2_BUCKET");
    let r2_access_key = reader.required_secret("R2_ACCESS_KEY");
    let r2_secret_key = reader.secret("R2_SECRET_KEY");
    let r2_endpoint: Option<HttpUrl> = reader.optional("R2_ENDPOINT");
    let gastown_cloud_url: Option<HttpUrl> = reader.optional("GASTOWN_CLOUD_URL");
    Some(SandboxEnv {
        kilo_api_url: kilo_api_url.map(String::from)?,
        r2_bucket: r2_bucket?,
        r2_access_key: r2_access_key?,
        r2_secret_key,
        r2_endpoint: r2_endpoint.map(String::from),
        gastown_cloud_url: gastown_cloud_url.map(String::from),
    })
}

/// Read by the logs before anything else is, which then take the usual; checked here like the rest.
fn logs(reader: &mut Reader<'_>) {
    let _: Option<LogFormat> = reader.optional("LOG_FORMAT");
    let level: Option<String> = reader.optional("LOG_LEVEL");
    if level.is_some_and(|level| EnvFilter::try_new(level).is_err()) {
        reader.wrong("LOG_LEVEL", "is wrong: must be a level or a list such as info,gastown_fly=debug");
    }
}

/// A number of which 0 would let nothing through.
fn at_least_one<T: FromStr<Err: Display> + Default + PartialEq>(reader: &mut Reader<'_>, name: &str, usual: T) -> T {
    let given = reader.or(name, usual);
    if given == T::default() {
        reader.wrong(name, "is wrong: must be at least 1");
    }
    given
}

/// `LOG_FORMAT`: how logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
}

impl FromStr for LogFormat {
    type Err = gastown_domain::Invalid;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        match raw {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(gastown_domain::Invalid::Shape { expected: "human or json" }),
        }
    }
}
