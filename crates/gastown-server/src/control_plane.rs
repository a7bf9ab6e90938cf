//! Builds the adapters, passes them on as ports, serves, and shuts down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gastown_domain::AppPlacement;
use gastown_domain::ports::{Sandboxes, WorkerId};
use gastown_fly::{Fly, FlyClient, RateLimiting};
use gastown_http::connections::{self, ConnectionLimits};
use gastown_http::{HttpParts, router};
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use gastown_orchestrator::{Env, Ports, Provider, Secrets, Store, TownService};
use gastown_persistence::{Database, DatabaseSettings};
use gastown_sandbox::SandboxClient;
use gastown_secrets::DerivedTownKeys;
use gastown_system::{RandomIds, SystemClock, ThreadJitter};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::Background;
use crate::config::{Config, FlyConfig, ListenHost};
use crate::http_settings;
use crate::open_database;
use crate::start_error::StartError;

/// The time that operations have to finish their current step.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that abandoned calls have to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// A control plane that has bound its port, but does not serve yet.
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
    http: HttpParts,
    connections: ConnectionLimits,
    service: TownService,
    background: Background,
    database: Database,
    /// The owner in the rows that this process claims.
    worker: WorkerId,
    shutdown: Duration,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Connects, checks the schema and binds the port. No operation is claimed yet.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let listener = bind_port(&config.http.host, config.http.port).await?;
        let pacing = pacing(&config.fly);
        Self::with_listener(config, pacing, listener).await
    }

    /// Like [`Self::bind`], with a bound port and a given pacing of the calls to Fly. Callers may need the port for the
    /// rest of the configuration. A simulator without limits needs no pacing.
    pub async fn with_listener(
        config: Config,
        pacing: RateLimiting,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(|cause| StartError::Listen {
            address: format!("{}:{}", config.http.host, config.http.port),
            cause,
        })?;
        let settings = DatabaseSettings {
            max_connections: config.database_max_connections,
            read_connections: config.database_read_connections,
            ..DatabaseSettings::at(config.database_url.clone())
        };
        open_database::warn_without_sslmode(&settings);
        let database = open_database::open(&settings, config.migrate_on_start).await?;
        let database = open_database::with_blocked(database, config.blocked_column.as_ref()).await?;
        let stop = CancellationToken::new();
        let fly = fly(&config.fly, pacing)?;
        let ports = ports(&config, &database, fly.clone())?;
        let worker = WorkerId(format!("{}", uuid::Uuid::from_u128(rand::random())));
        let service = TownService::new(ports.clone(), config.orchestrator.clone(), worker.clone(), stop.clone());
        // Background calls yield to calls with a waiting caller (FM-52).
        let provider = provider(fly.in_background(), ports.provider.sandboxes.clone());
        let history = database.background();
        let background = Ports { store: store(&history), provider, ..ports };
        let background =
            Background::new(&service, (&background, Arc::new(history)), config.orchestrator.clone(), &worker, fly);
        let http = HttpParts {
            towns: Arc::new(service.clone()),
            home: Arc::new(service.clone()),
            tokens: Arc::new(verifier(&config)?),
            readiness: Arc::new(database.clone()),
            tasks: TaskTracker::new(),
            settings: http_settings::adapter(&config)?,
        };
        let connections = http_settings::connections(&config);
        let shutdown = config.http.shutdown;
        Ok(Self { listener, address, http, connections, service, background, database, worker, shutdown, stop })
    }

    /// Returns the registry's database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for clients on this machine.
    pub fn local_url(&self) -> String {
        local_url(self.address)
    }

    /// Serves until `stop` is cancelled, then shuts down: no new requests and no new claims, calls in progress finish,
    /// operations release their claims. After `SHUTDOWN_SECONDS` the remaining calls are answered with the state of their
    /// operation. Other processes take over what is cut off, after its lease.
    ///
    /// Errors: the listener's.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let stop_background = stop.child_token();
        let background = self.background.start(&stop_background);
        let calls = self.http.tasks.clone();
        let app = router(self.http);
        tracing::info!(address = %self.address, worker = %self.worker.0, "server started");
        let server = connections::serve(self.listener, app, self.connections, stop.clone());
        let mut answered = pin!(async {
            server.await?;
            calls.close();
            calls.wait().await;
            Ok(())
        });
        let in_time = tokio::select! {
            result = &mut answered => Some(result),
            () = grace_period_over(&stop, self.shutdown) => None,
        };
        stop_background.cancel();
        self.stop.cancel();
        let drained = async {
            self.service.drained().await;
            background.wait().await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("drain timed out, abandoning operations to other processes");
        }
        let result = match in_time {
            Some(result) => result,
            // The last answers need the database, so it is closed afterwards.
            None => tokio::time::timeout(ANSWER_TIMEOUT, answered).await.unwrap_or(Ok(())),
        };
        if let Err(error) = self.database.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to close database");
        }
        tracing::info!("server stopped");
        result
    }
}

/// Returns the URL of a bound address for clients on this machine.
pub(crate) fn local_url(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

/// Binds the port. A name is resolved, and its first address that can be bound is taken.
pub(crate) async fn bind_port(host: &ListenHost, port: u16) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((host.to_resolve().as_str(), port)).await;
    bound.map_err(|cause| StartError::Listen { address: format!("{host}:{port}"), cause })
}

/// Waits until the grace period of a shutdown is over.
async fn grace_period_over(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
    tracing::warn!("grace period over, abandoning requests");
}

pub(crate) fn set_up<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> StartError {
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

/// Creates the minter of tokens.
pub(crate) fn minter(config: &Config) -> Result<TokenMinter, StartError> {
    let minter = TokenMinter::new(token_keys(config)?, Arc::new(SystemClock));
    Ok(match &config.secrets.token_env {
        Some(env) => minter.in_env(env),
        None => minter,
    })
}

/// Returns this process's share of the configured rate limits. With one app per user it is the whole, because operations of one user
/// rarely run in two processes at once.
pub(crate) fn pacing(config: &FlyConfig) -> RateLimiting {
    let sharers = match &config.app {
        AppPlacement::Shared(_) => config.replicas,
        AppPlacement::PerUser { .. } => NonZeroU32::MIN,
    };
    let RateLimiting::On(rates) = config.rate_limits else { return RateLimiting::Off };
    let rates = rates.shared_by(sharers);
    // A call takes at most two thirds of a lease, and with its time in the queue at most one lease, for every share. After
    // a takeover, a lost create may appear for as long as that.
    RateLimiting::On(rates.with_max_wait(rates.max_wait.min(config.timeouts.call / 2)))
}

/// Creates the adapter of Fly.
pub(crate) fn fly(config: &FlyConfig, pacing: RateLimiting) -> Result<Fly, StartError> {
    let client = FlyClient::new(config.base_url.clone(), &config.token, config.timeouts, pacing);
    Ok(Fly::new(client.map_err(set_up("the Fly client"))?, config.app.clone()))
}

fn provider(fly: Fly, sandboxes: Arc<dyn Sandboxes>) -> Provider {
    let fly = Arc::new(fly);
    Provider {
        apps: fly.clone(),
        volumes: fly.clone(),
        machines: fly.clone(),
        turns: Some(fly.clone()),
        inventory: fly,
        sandboxes,
    }
}

fn store(database: &Database) -> Store {
    let database = Arc::new(database.clone());
    Store {
        registry: database.clone(),
        rigs: database.clone(),
        operations: database.clone(),
        drift_checks: database.clone(),
        orphans: database.clone(),
        jobs: database.clone(),
        users: database,
    }
}

fn ports(config: &Config, database: &Database, fly: Fly) -> Result<Ports, StartError> {
    let sandboxes = SandboxClient::new(config.sandbox_url.clone(), gastown_sandbox::Timeouts::default())
        .map_err(set_up("the sandbox client"))?;
    let env = &config.orchestrator.env;
    let shared = [Some(&env.r2_access_key), env.r2_secret_key.as_ref()];
    let sandboxes = sandboxes.hiding(shared.into_iter().flatten().cloned().collect());
    let towns = DerivedTownKeys::new(&config.secrets.town_secret).map_err(set_up("the towns' keys"))?;
    let towns = match &config.secrets.previous_town_secret {
        Some(previous) => towns.accepting_previous(previous).map_err(set_up("the towns' keys"))?,
        None => towns,
    };
    Ok(Ports {
        store: store(database),
        provider: provider(fly, Arc::new(sandboxes)),
        secrets: Secrets {
            mint: Arc::new(minter(config)?),
            sealer: Arc::new(config.secrets.sealing_key.clone()),
            towns: Arc::new(towns),
        },
        env: Env { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), jitter: Arc::new(ThreadJitter) },
    })
}
