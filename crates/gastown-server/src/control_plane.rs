//! Building the adapters, handing them over as ports, serving, and stopping in good order.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use gastown_domain::AppPlacement;
use gastown_domain::ports::{Sandboxes, WorkerId};
use gastown_fly::{Fly, FlyClient, RateLimiting, Rates};
use gastown_http::{HttpParts, HttpSettings, router};
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use gastown_orchestrator::{Env, Ports, Provider, Secrets, Store, TownService};
use gastown_persistence::{ConnectError, Database, DatabaseSettings, MigrateError};
use gastown_sandbox::SandboxClient;
use gastown_secrets::DerivedTownKeys;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::Background;
use crate::config::{Config, FlyConfig};
use crate::open_database;
use crate::system_ports::{RandomIds, SystemClock, ThreadJitter};

/// How long drivers have to finish the step they are at.
const DRAIN: Duration = Duration::from_secs(10);
/// How long calls have to be answered that were let go because it took too long.
const LAST_ANSWERS: Duration = Duration::from_secs(4);

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("cannot use the database")]
    Connect(#[source] ConnectError),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database")]
    Migrate(#[source] MigrateError),
    /// The schema's state could not be read.
    #[error("cannot read the state of the database's schema")]
    Schema(#[source] MigrateError),
    /// The schema is not there or not up to date.
    #[error(
        "the database lacks migrations: {}; run `gastown migrate up`, or set MIGRATE_ON_START=true", pending.join(", ")
    )]
    PendingMigrations {
        /// Their names, oldest first.
        pending: Vec<String>,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A client could not be set up.
    #[error("cannot set up {what}")]
    SetUp {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A control plane that has bound its port and not begun to serve.
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
    http: HttpParts,
    service: TownService,
    background: Background,
    database: Database,
    /// What this process is called in the rows that it claims.
    worker: WorkerId,
    shutdown: Duration,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Connects, checks the schema and binds the port. Nothing is driven yet.
    ///
    /// Errors: whatever would keep it from doing its work.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let address = SocketAddr::from((config.http.host, config.http.port));
        let listener = TcpListener::bind(address).await.map_err(|cause| StartError::Listen { address, cause })?;
        let pacing = pacing(&config.fly);
        Self::with_listener(config, pacing, listener).await
    }

    /// The same on a port that is bound already, for callers that must know it before the rest is configured, and with
    /// another pace of calls to Fly: none, for a simulator without limits.
    pub async fn with_listener(
        config: Config,
        pacing: RateLimiting,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(|cause| StartError::Listen {
            address: SocketAddr::from((config.http.host, config.http.port)),
            cause,
        })?;
        let settings = DatabaseSettings {
            max_connections: config.database_max_connections,
            ..DatabaseSettings::at(config.database_url.clone())
        };
        let database = open_database::open(&settings, config.migrate_on_start).await?;
        let stop = CancellationToken::new();
        let fly = fly(&config.fly, pacing)?;
        let ports = ports(&config, &database, fly.clone())?;
        let worker = WorkerId(format!("{}", uuid::Uuid::from_u128(rand::random())));
        let service = TownService::new(ports.clone(), config.orchestrator.clone(), worker.clone(), stop.clone());
        // What nobody waits for lets those pass who do (FM-52).
        let unasked = Ports { provider: provider(fly.in_background(), ports.provider.sandboxes.clone()), ..ports };
        let background = Background::new(&service, &unasked, config.orchestrator.clone(), &worker, fly);
        let http = HttpParts {
            towns: Arc::new(service.clone()),
            home: Arc::new(service.clone()),
            tokens: Arc::new(verifier(&config)?),
            users: Arc::new(database.clone()),
            readiness: Arc::new(database.clone()),
            tasks: TaskTracker::new(),
            settings: http_settings(&config)?,
        };
        let shutdown = config.http.shutdown;
        Ok(Self { listener, address, http, service, background, database, worker, shutdown, stop })
    }

    /// The registry's database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address a client on this machine uses.
    pub fn local_url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Serves until `stop` is cancelled, then ends in good order: no new requests and no new claims, calls under way
    /// finish, drivers give their claims back. Calls that are under way after `SHUTDOWN_SECONDS` are told how far it has
    /// come; what is cut off then is taken over by lease.
    ///
    /// Errors: the listener's.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let sweeping = stop.child_token();
        let background = self.background.start(&sweeping);
        let calls = self.http.tasks.clone();
        let app = router(self.http);
        tracing::info!(address = %self.address, worker = %self.worker.0, "serving");
        let server = axum::serve(self.listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let mut answered = pin!(async {
            server.await?;
            calls.close();
            calls.wait().await;
            Ok(())
        });
        let too_long = async {
            stop.cancelled().await;
            tokio::time::sleep(self.shutdown).await;
        };
        let in_time = tokio::select! {
            result = &mut answered => Some(result),
            () = too_long => {
                tracing::warn!("calls under way are let go; their operations are taken over");
                None
            }
        };
        sweeping.cancel();
        self.stop.cancel();
        let drained = async {
            self.service.drained().await;
            background.wait().await;
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("operations under way were cut off; their leases run out and they are taken over");
        }
        let result = match in_time {
            Some(result) => result,
            // They are being told how far it has come: not without the database, nor after the end of the process.
            None => tokio::time::timeout(LAST_ANSWERS, answered).await.unwrap_or(Ok(())),
        };
        if let Err(error) = self.database.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database was not closed cleanly");
        }
        tracing::info!("stopped");
        result
    }
}

fn set_up<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |cause| StartError::SetUp { what, cause: Box::new(cause) }
}

fn token_keys(config: &Config) -> Result<TokenKeys, StartError> {
    let keys = TokenKeys::new(&config.secrets.token_secret).map_err(set_up("token keys"))?;
    match &config.secrets.previous_token_secret {
        Some(previous) => keys.accepting_previous(previous).map_err(set_up("token keys")),
        None => Ok(keys),
    }
}

fn verifier(config: &Config) -> Result<TokenVerifier, StartError> {
    let verifier = TokenVerifier::new(token_keys(config)?, Arc::new(SystemClock));
    Ok(match &config.secrets.token_env {
        Some(env) => verifier.in_env(env),
        None => verifier,
    })
}

/// What mints tokens with the configured keys.
pub(crate) fn minter(config: &Config) -> Result<TokenMinter, StartError> {
    let minter = TokenMinter::new(token_keys(config)?, Arc::new(SystemClock));
    Ok(match &config.secrets.token_env {
        Some(env) => minter.in_env(env),
        None => minter,
    })
}

/// Fly's limits, of which this process takes its share. Of an app that is one user's it takes all: operations of one user
/// are seldom driven by two processes at once, and a share would make each of them wait for nobody.
pub(crate) fn pacing(config: &FlyConfig) -> RateLimiting {
    let sharers = match &config.app {
        AppPlacement::Shared(_) => config.replicas,
        AppPlacement::PerUser { .. } => NonZeroU32::MIN,
    };
    let rates = Rates::default().shared_by(sharers);
    // A call takes two thirds of a lease at most. With its wait in line it is over within the whole of it, whatever the
    // share: whoever takes a town over waits so long for what may still be made.
    RateLimiting::On(rates.with_max_wait(rates.max_wait.min(config.timeouts.call / 2)))
}

/// The ports on Fly.
pub(crate) fn fly(config: &FlyConfig, pacing: RateLimiting) -> Result<Fly, StartError> {
    let client = FlyClient::new(config.base_url.clone(), &config.token, config.timeouts, pacing);
    Ok(Fly::new(client.map_err(set_up("the Fly client"))?, config.app.clone()))
}

fn provider(fly: Fly, sandboxes: Arc<dyn Sandboxes>) -> Provider {
    let fly = Arc::new(fly);
    Provider { apps: fly.clone(), volumes: fly.clone(), machines: fly.clone(), inventory: fly, sandboxes }
}

fn ports(config: &Config, database: &Database, fly: Fly) -> Result<Ports, StartError> {
    let database = Arc::new(database.clone());
    let sandboxes = SandboxClient::new(config.sandbox_url.clone(), gastown_sandbox::Timeouts::default());
    let towns = DerivedTownKeys::new(&config.secrets.town_secret).map_err(set_up("the towns' keys"))?;
    let towns = match &config.secrets.previous_town_secret {
        Some(previous) => towns.accepting_previous(previous).map_err(set_up("the towns' keys"))?,
        None => towns,
    };
    Ok(Ports {
        store: Store {
            registry: database.clone(),
            rigs: database.clone(),
            operations: database.clone(),
            drift_checks: database.clone(),
            orphans: database.clone(),
            jobs: database.clone(),
            users: database,
        },
        provider: provider(fly, Arc::new(sandboxes.map_err(set_up("the sandbox client"))?)),
        secrets: Secrets {
            mint: Arc::new(minter(config)?),
            sealer: Arc::new(config.secrets.sealing_key.clone()),
            towns: Arc::new(towns),
        },
        env: Env { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), jitter: Arc::new(ThreadJitter) },
    })
}

fn http_settings(config: &Config) -> Result<HttpSettings, StartError> {
    let origins = config.http.allowed_origins.iter().map(|origin| HeaderValue::from_str(origin));
    Ok(HttpSettings {
        trpc: gastown_http::trpc::Settings {
            max_body_bytes: config.http.max_body_bytes,
            batching: true,
            max_batch_size: 100,
            // A call answers within the callers' wait; what is left is for the registry.
            time_limit: config.orchestrator.policy.timeouts.caller + Duration::from_secs(30),
            stream_ping: Some(Duration::from_secs(10)),
        },
        allowed_origins: origins.collect::<Result<_, _>>().map_err(set_up("the allowed origins"))?,
        readiness_limit: Duration::from_secs(5),
    })
}
