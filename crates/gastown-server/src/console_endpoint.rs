//! The console for operators, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gastown::fly_api::{Fly, RateLimiting, api::Action, machine_name, volume_name};
use gastown::system::{SystemClock, random_secret};
use gastown::{Gastown, local_url};
use gastown_console::{Access, ActionResult, ProviderQueues, Queue, Sources, TownAction, TownActions};
use gastown_domain::ports::{NoMetrics, Operator as _, Requested, StoreError};
use gastown_domain::{OperationKind, TownId};
use gastown_http::connections::{self, ConnectionLimits};
use gastown_orchestrator::Timeouts;
use gastown_persistence::Database;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::lost_answers;
use crate::commands::town::new_operation;
use crate::config::{Config, ConsoleConfig};
use crate::control_plane::{address_of, bind_port};
use crate::start_error::StartError;

/// The connections of browsers at a time, with those for live events. They are apart from those of users.
const MAX_CONNECTIONS: usize = 64;
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
    pub(crate) async fn serve(self, sources: Sources, stop: CancellationToken) -> std::io::Result<()> {
        let limits = ConnectionLimits {
            max_connections: MAX_CONNECTIONS,
            max_per_address: MAX_CONNECTIONS,
            head_timeout: TIMEOUT,
            idle_timeout: 6 * TIMEOUT,
            write_timeout: TIMEOUT,
            stream_timeout: STREAM_TIMEOUT,
        };
        let sources = if self.allows_actions { sources } else { Sources { actions: None, ..sources } };
        let router = gastown_console::router(self.access, sources, stop.clone());
        tracing::info!(address = %self.address, actions = self.allows_actions, "console started");
        connections::serve(self.listener, router, limits, Arc::new(NoMetrics), stop).await
    }
}

fn url_of(address: SocketAddr) -> String {
    format!("{}/console", local_url(address))
}

/// Returns the ports of a control plane for its console. `None` without a database, which only an embedder has.
pub(crate) fn sources(config: &Config, gastown: &Gastown) -> Option<Sources> {
    let policy = &config.orchestrator.policy;
    // The console waits behind callers.
    let database = Arc::new(gastown.database()?.background());
    let queues =
        Queues { fly: gastown.fly().cloned(), limits: limits(config.fly.settings().pacing(policy.timeouts.lease)) };
    Some(Sources {
        operator: database.clone(),
        figures: database.clone(),
        jobs: database.clone(),
        orphans: database.clone(),
        readiness: database.clone(),
        queues: Arc::new(queues),
        clock: Arc::new(SystemClock),
        resource_names: |town| vec![machine_name(town), volume_name(town)],
        nonce: || random_secret().expose_secret().to_owned(),
        alert_attempts: policy.limits.alert_attempts,
        actions: Some(Arc::new(Actions {
            database: Arc::unwrap_or_clone(database),
            timeouts: policy.timeouts.clone(),
        })),
    })
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
struct Actions {
    database: Database,
    timeouts: Timeouts,
}

#[async_trait]
impl TownActions for Actions {
    async fn request(&self, town: TownId, action: TownAction, actor: &str) -> Result<ActionResult, StoreError> {
        let Some(found) = self.database.town_details(town, &[], 0).await? else { return Ok(ActionResult::NotFound) };
        if found.town.is_tombstone() {
            return Ok(ActionResult::NotFound);
        }
        let (kind, timeout) = match action {
            TownAction::Start => (OperationKind::Start, Some(self.timeouts.start)),
            TownAction::Stop => (OperationKind::Stop, Some(self.timeouts.stop)),
            TownAction::Destroy => (OperationKind::Destroy, None),
        };
        let operation = new_operation(&found.town, kind, timeout);
        let requested = match action {
            TownAction::Destroy => {
                Some(lost_answers::destroy(&self.database, &self.database, &operation, actor).await?)
            }
            TownAction::Start | TownAction::Stop => {
                lost_answers::request(&self.database, &self.database, &operation, actor).await?
            }
        };
        Ok(match requested {
            // `None`: it was accepted and has ended meanwhile.
            Some(Requested::Accepted(_) | Requested::Joined(_)) | None => ActionResult::Accepted,
            Some(Requested::Busy(_)) => ActionResult::Busy,
            // Only a restore is refused as not restorable, and the console requests none.
            Some(Requested::NotFound | Requested::NotRestorable(_)) => ActionResult::NotFound,
        })
    }
}
