//! The one struct of settings, checked whole at start: all mistakes at once, by name, never by value.

mod http_url;
mod list;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use gastown_domain::{AppName, ImageRef, Region};
use gastown_fly::{BaseUrl, PUBLIC_BASE_URL};
use gastown_orchestrator::{AppPlacement, MachineTemplate, Policy, SandboxEnv, Settings};
use gastown_sandbox::UrlTemplate;
use gastown_secrets::{DerivedTownKeys, PublicSealingKey};
use secrecy::{ExposeSecret as _, SecretString};
use tracing_subscriber::EnvFilter;

use crate::settings_source::{Mistake, Reader, Source};
use http_url::HttpUrl;
use list::List;

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
    /// Keys and tokens.
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

/// How Fly is called.
#[derive(Debug, Clone)]
pub struct FlyConfig {
    /// `FLY_API_BASE_URL`.
    pub base_url: BaseUrl,
    /// `FLY_API_TOKEN`.
    pub token: SecretString,
    /// One app, or one per user.
    pub app: AppConfig,
}

/// `FLY_APP_NAME`, or `FLY_ORG_SLUG` and `FLY_APP_PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppConfig {
    /// One app for all, made by an operator.
    Shared(AppName),
    /// One app per user, made as needed.
    PerUser {
        /// The organization.
        org_slug: String,
        /// What their names begin with.
        prefix: AppName,
    },
}

/// Keys and tokens.
#[derive(Debug, Clone)]
pub struct SecretsConfig {
    /// `NEXTAUTH_SECRET`: signs and verifies tokens.
    pub token_secret: SecretString,
    /// `NEXTAUTH_SECRET_PREVIOUS`: verifies tokens signed before a rotation.
    pub previous_token_secret: Option<SecretString>,
    /// `TOKEN_ENV`: the environment tokens are issued for.
    pub token_env: Option<String>,
    /// `INTERNAL_API_SECRET`: the towns' keys are derived from it.
    pub town_secret: SecretString,
    /// `INTERNAL_API_SECRET_PREVIOUS`: verifies keys derived before a rotation.
    pub previous_town_secret: Option<SecretString>,
    /// `SANDBOX_PUBLIC_KEY`: seals what only a sandbox may read.
    pub sealing_key: PublicSealingKey,
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
    pub const NAMES: [&str; 35] = [
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
        "INTERNAL_API_SECRET",
        "INTERNAL_API_SECRET_PREVIOUS",
        "KILO_API_URL",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MAX_BODY_BYTES",
        "MIGRATE_ON_START",
        "NEXTAUTH_SECRET",
        "NEXTAUTH_SECRET_PREVIOUS",
        "PORT",
        "R2_ACCESS_KEY",
        "R2_BUCKET",
        "R2_ENDPOINT",
        "R2_SECRET_KEY",
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
        let mut reader = Reader::new(source);
        let config = Self::parts(&mut reader);
        let mistakes = reader.into_mistakes();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError { mistakes }),
        }
    }

    /// Every part is read before any is missed, so that all mistakes are told together.
    fn parts(reader: &mut Reader<'_>) -> Option<Self> {
        let database_url = database_url(reader);
        let database_max_connections = at_least_one(reader, "DATABASE_MAX_CONNECTIONS", 10);
        let migrate_on_start = reader.or("MIGRATE_ON_START", false);
        let http = http(reader);
        let fly = fly(reader);
        let sandbox_url = reader.optional("SANDBOX_URL").or_else(|| gastown_sandbox::DEFAULT_TEMPLATE.parse().ok());
        let secrets = secrets(reader);
        let regions = regions(reader);
        let image: Option<ImageRef> = reader.required("FLY_IMAGE");
        let env = sandbox_env(reader);
        let policy = policy(reader);
        logs(reader);
        let fly = fly?;
        let apps = match &fly.app {
            AppConfig::Shared(app) => AppPlacement::Shared(app.clone()),
            AppConfig::PerUser { prefix, .. } => AppPlacement::PerUser { prefix: prefix.clone() },
        };
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
            orchestrator: Settings { apps, regions: regions?, machine, env: env?, policy },
        })
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

fn fly(reader: &mut Reader<'_>) -> Option<FlyConfig> {
    let base_url = reader.optional("FLY_API_BASE_URL").or_else(|| PUBLIC_BASE_URL.parse().ok());
    let token = reader.required_secret("FLY_API_TOKEN");
    let per_user = reader.has("FLY_ORG_SLUG") || reader.has("FLY_APP_PREFIX");
    let app = match (reader.has("FLY_APP_NAME"), per_user) {
        (true, true) => {
            reader.wrong(
                "FLY_APP_NAME",
                "cannot be set together with FLY_ORG_SLUG and FLY_APP_PREFIX: one app, or one per user",
            );
            None
        }
        (false, false) => {
            reader.wrong("FLY_APP_NAME", "is missing (or FLY_ORG_SLUG and FLY_APP_PREFIX, for one app per user)");
            None
        }
        (true, false) => reader.required("FLY_APP_NAME").map(AppConfig::Shared),
        (false, true) => {
            let (org_slug, prefix) = (reader.required("FLY_ORG_SLUG"), reader.required::<AppName>("FLY_APP_PREFIX"));
            // 20 digits of the user and a dash follow it.
            if prefix.as_ref().is_some_and(|prefix| prefix.as_str().len() > 40) {
                reader.wrong("FLY_APP_PREFIX", "is wrong: is too long, at most 40 characters are allowed");
            }
            org_slug.zip(prefix).map(|(org_slug, prefix)| AppConfig::PerUser { org_slug, prefix })
        }
    };
    Some(FlyConfig { base_url: base_url?, token: token?, app: app? })
}

fn secrets(reader: &mut Reader<'_>) -> Option<SecretsConfig> {
    let token_secret = reader.required_secret("NEXTAUTH_SECRET");
    let previous_token_secret = reader.secret("NEXTAUTH_SECRET_PREVIOUS");
    for (name, secret) in [("NEXTAUTH_SECRET", &token_secret), ("NEXTAUTH_SECRET_PREVIOUS", &previous_token_secret)] {
        if let Some(Err(problem)) = secret.as_ref().map(gastown_jwt::TokenKeys::new) {
            reader.wrong(name, &format!("is wrong: {problem}"));
        }
    }
    let town_secret = reader.required_secret("INTERNAL_API_SECRET");
    let previous_town_secret = reader.secret("INTERNAL_API_SECRET_PREVIOUS");
    for (name, secret) in
        [("INTERNAL_API_SECRET", &town_secret), ("INTERNAL_API_SECRET_PREVIOUS", &previous_town_secret)]
    {
        if let Some(Err(problem)) = secret.as_ref().map(DerivedTownKeys::new) {
            reader.wrong(name, &format!("is wrong: {problem}"));
        }
    }
    let sealing_key = reader.required("SANDBOX_PUBLIC_KEY");
    Some(SecretsConfig {
        token_secret: token_secret?,
        previous_token_secret,
        token_env: reader.optional("TOKEN_ENV"),
        town_secret: town_secret?,
        previous_town_secret,
        sealing_key: sealing_key?,
    })
}

fn regions(reader: &mut Reader<'_>) -> Option<Vec<Region>> {
    let regions = match reader.optional::<List<Region>>("FLY_REGIONS") {
        Some(List(regions)) => regions,
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

fn policy(reader: &mut Reader<'_>) -> Policy {
    let usual = Policy::production();
    let mut seconds = |name: &str, usual: Duration| {
        let given = reader.or(name, usual.as_secs());
        if !(1..=24 * 60 * 60).contains(&given) {
            reader.wrong(name, "is wrong: must be between 1 and 86400 seconds");
        }
        Duration::from_secs(given)
    };
    Policy {
        caller_wait: seconds("CALLER_WAIT_SECONDS", usual.caller_wait),
        create_patience: seconds("CREATE_PATIENCE_SECONDS", usual.create_patience),
        start_patience: seconds("START_PATIENCE_SECONDS", usual.start_patience),
        stop_patience: seconds("STOP_PATIENCE_SECONDS", usual.stop_patience),
        sweep_every: seconds("SWEEP_SECONDS", usual.sweep_every),
        ..usual
    }
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
