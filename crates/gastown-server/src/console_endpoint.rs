//! The console for operators, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use gastown::fly_api::{Fly, RateLimiting, api::Action, machine_name, volume_name};
use gastown::system::{SystemClock, random_secret};
use gastown::{Gastown, local_url};
use gastown_console::{Access, ActionResult, ProviderQueues, Queue, Sources, TownAction, TownActions};
use gastown_domain::TownId;
use gastown_domain::ports::{NoMetrics, StoreError};
use gastown_http::connections::{self, ConnectionLimits};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::doctor::RunningServer;
use crate::config::{Config, ConsoleConfig};
use crate::control_plane::{address_of, bind_port};
use crate::operator_access::{
    AccessError, InDatabase, OperatorAccess as _, TownRequest, new_operation_id, orphan_sweeper,
};
use crate::operator_api::{self, OperatorApi};
use crate::start_error::StartError;

/// The connections of browsers at a time, with those for live events. They are apart from those of users.
const MAX_CONNECTIONS: usize = 64;
/// Those of one address: half of all, as for users. So one host with slow requests does not shut out the others.
const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 2;
/// The time for a request, for an idle connection and for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest stream of live events, with some time to spare.
const STREAM_TIMEOUT: Duration = Duration::from_secs(16 * 60);

/// The console, bound and not served yet.
pub(crate) struct ConsoleEndpoint {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
    allows_actions: bool,
}

impl ConsoleEndpoint {
    /// Binds the console, if one is configured. Without a token it must be on a loopback address.
    pub(crate) async fn bind(config: &ConsoleConfig) -> Result<Option<Self>, StartError> {
        let Some(listen) = &config.listen else { return Ok(None) };
        let listener = bind_port(&listen.host, listen.port).await?;
        let address = address_of(&listener, &listen.host, listen.port)?;
        let access = match config.operators() {
            Some(operators) => Access::Operators(operators),
            None if address.ip().is_loopback() => Access::Loopback { url: url_of(address) },
            None => return Err(StartError::OpenConsole),
        };
        Ok(Some(Self { listener, address, access, allows_actions: config.allows_actions }))
    }

    /// Returns the URL of the console for browsers on this machine.
    pub(crate) fn url(&self) -> String {
        url_of(self.address)
    }

    /// Serves until `stop` is cancelled.
    pub(crate) async fn serve(self, parts: ConsoleParts, stop: CancellationToken) -> std::io::Result<()> {
        let limits = ConnectionLimits {
            max_connections: MAX_CONNECTIONS,
            max_per_address: MAX_PER_ADDRESS,
            head_timeout: TIMEOUT,
            idle_timeout: 6 * TIMEOUT,
            write_timeout: TIMEOUT,
            stream_timeout: STREAM_TIMEOUT,
        };
        let ConsoleParts { sources, mut api } = parts;
        let sources = if self.allows_actions { sources } else { Sources { actions: None, ..sources } };
        api.allows_actions = self.allows_actions;
        let api = operator_api::router(self.access.clone(), api);
        let console = gastown_console::router(self.access, sources, stop.clone());
        let router = gastown_http::traced(Router::new().nest(operator_api::PATH, api)).merge(console);
        tracing::info!(address = %self.address, actions = self.allows_actions, "console started");
        connections::serve(self.listener, router, limits, Arc::new(NoMetrics), stop).await
    }
}

fn url_of(address: SocketAddr) -> String {
    format!("{}/console", local_url(address))
}

/// The ports of a control plane for its operators.
pub(crate) struct ConsoleParts {
    sources: Sources,
    api: OperatorApi,
}

/// Returns the ports of a control plane for its operators. `None` without a database, which only an embedder has.
pub(crate) fn parts(config: &Config, gastown: &Gastown) -> Option<ConsoleParts> {
    let policy = &config.orchestrator.policy;
    // The console waits behind callers.
    let database = Arc::new(gastown.database()?.background());
    let queues =
        Queues { fly: gastown.fly().cloned(), limits: limits(config.fly.settings().pacing(policy.timeouts.lease)) };
    let access = InDatabase::new(database.as_ref().clone(), "operator").with_timeouts(policy.timeouts.clone());
    let fly = gastown.fly().cloned();
    let server = RunningServer { config: config.clone(), database: database.as_ref().clone(), fly: fly.clone() };
    let orphans = fly.map(|fly| orphan_sweeper(database.as_ref().clone(), fly, policy.clone()));
    let api = OperatorApi {
        access: access.clone(),
        orphans,
        policy: policy.clone(),
        server: Box::new(server),
        allows_actions: false,
    };
    let sources = Sources {
        operator: database.clone(),
        figures: database.clone(),
        jobs: database.clone(),
        orphans: database.clone(),
        rollouts: database.clone(),
        readiness: database,
        queues: Arc::new(queues),
        clock: Arc::new(SystemClock),
        resource_names: |town| vec![machine_name(town), volume_name(town)],
        nonce: || random_secret().expose_secret().to_owned(),
        alert_attempts: policy.limits.alert_attempts,
        actions: Some(Arc::new(Actions(access))),
    };
    Some(ConsoleParts { sources, api })
}

/// The queues of the client of Fly.
struct Queues {
    fly: Option<Fly>,
    limits: Vec<(String, String)>,
}

impl ProviderQueues for Queues {
    fn queues(&self) -> Vec<Queue> {
        let queues = self.fly.iter().flat_map(Fly::queue_stats);
        let queue = |stats: gastown::fly_api::QueueStats| Queue {
            call: format!("{:?}", stats.action),
            subject: stats.subject,
            waiting: stats.foreground,
            behind: stats.background,
            waited: stats.waited,
            remaining: stats.remaining,
        };
        queues.map(queue).collect()
    }

    fn limits(&self) -> Vec<(String, String)> {
        self.limits.clone()
    }
}

/// Returns each call with its limit in this process.
fn limits(pacing: RateLimiting) -> Vec<(String, String)> {
    match pacing {
        RateLimiting::Off => vec![("all calls".to_owned(), "no limit".to_owned())],
        RateLimiting::On(rates) => {
            Action::ALL.map(|action| (format!("{action:?}"), rates.of(action).to_string())).into()
        }
    }
}

/// Requests operations as `gastown town start|stop|destroy` does.
struct Actions(InDatabase);

#[async_trait]
impl TownActions for Actions {
    async fn request(&self, town: TownId, action: TownAction, actor: &str) -> Result<ActionResult, StoreError> {
        let request = match action {
            TownAction::Start => TownRequest::Start,
            TownAction::Stop => TownRequest::Stop,
            TownAction::Destroy => TownRequest::Destroy,
        };
        let access = self.0.acting_as(actor.to_owned());
        match access.town(town).await {
            Ok(report) if report.town.is_tombstone() => return Ok(ActionResult::NotFound),
            Ok(_) => {}
            Err(error) => return refused(error),
        }
        match access.request(town, request, new_operation_id()).await {
            Ok(_) => Ok(ActionResult::Accepted),
            Err(error) => refused(error),
        }
    }
}

fn refused(error: AccessError) -> Result<ActionResult, StoreError> {
    match error {
        AccessError::NoSuchTown(_) => Ok(ActionResult::NotFound),
        AccessError::Refused { .. } => Ok(ActionResult::Busy),
        AccessError::Read(error) | AccessError::Write(error) => Err(error),
        // A database has no server.
        AccessError::Server(cause) => Err(StoreError::Unavailable { cause }),
    }
}
