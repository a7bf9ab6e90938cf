//! The control plane, built and not started yet.

use std::pin::pin;
use std::time::Duration;

use gastown_domain::ports::WorkerId;
use gastown_jwt::TokenMinter;
use gastown_orchestrator::TownService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::Background;
use crate::builder::GastownBuilder;

/// The time that operations have to finish their current step.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time to write the last heartbeats.
const HEARTBEATS_TIMEOUT: Duration = Duration::from_secs(4);
/// The time that abandoned calls have to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// A control plane: its operations, its router and its background work.
///
/// Take [`Gastown::towns`] and the router first, then run it until it is stopped. Operations are accepted before that, but
/// those of other processes are finished only while it runs.
pub struct Gastown {
    pub(crate) service: TownService,
    pub(crate) background: Background,
    /// The owner in the rows that this process claims.
    pub(crate) worker: WorkerId,
    /// Ends the waits of operations.
    pub(crate) stop: CancellationToken,
    /// The calls of the router in progress.
    pub(crate) calls: TaskTracker,
    pub(crate) grace_period: Duration,
    pub(crate) minter: Option<TokenMinter>,
    #[cfg(feature = "http")]
    pub(crate) http: gastown_http::HttpParts,
    #[cfg(feature = "server")]
    pub(crate) connections: gastown_http::connections::ConnectionLimits,
    #[cfg(feature = "postgres")]
    pub(crate) database: Option<gastown_persistence::Database>,
    #[cfg(feature = "fly")]
    pub(crate) fly: Option<gastown_fly::Fly>,
    #[cfg(feature = "sim")]
    pub(crate) simulator: Option<crate::simulated::SimulatedFly>,
}

impl Gastown {
    /// Returns a builder with the settings of production.
    pub fn builder() -> GastownBuilder {
        GastownBuilder::default()
    }

    /// Returns the operations on towns: the ports `Towns` and `HomeCalls`. Clones are cheap.
    pub fn towns(&self) -> TownService {
        self.service.clone()
    }

    /// Returns the name of this process in the rows that it claims.
    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Returns the minter of tokens. `None` if all secrets are replaced by ports.
    pub fn token_minter(&self) -> Option<&TokenMinter> {
        self.minter.as_ref()
    }

    /// Returns the registry's database. `None` if all its ports are replaced.
    #[cfg(feature = "postgres")]
    pub fn database(&self) -> Option<&gastown_persistence::Database> {
        self.database.as_ref()
    }

    /// Returns the client of Fly, whose queues show how calls wait for its rate limits. `None` for another provider.
    #[cfg(feature = "fly")]
    pub fn fly(&self) -> Option<&gastown_fly::Fly> {
        self.fly.as_ref()
    }

    /// Runs the background work until `stop` is cancelled: workers, drift detection, orphans, old history. Then operations
    /// release their claims, and the database is closed.
    ///
    /// A host that serves the router cancels `stop` once it takes no more requests. Calls in progress have the grace period.
    pub async fn run(self, stop: CancellationToken) {
        let (calls, stopped) = (self.calls.clone(), stop.clone());
        let answered = async move {
            stopped.cancelled().await;
            calls.close();
            calls.wait().await;
        };
        self.run_until(answered, stop).await;
    }

    /// Runs until `stop` is cancelled and the calls are answered, or the grace period is over. Other processes take over what
    /// is cut off, after its lease.
    pub(crate) async fn run_until<T>(self, answered: impl Future<Output = T>, stop: CancellationToken) -> Option<T> {
        let stop_background = stop.child_token();
        let background = self.background.start(&stop_background);
        let mut answered = pin!(answered);
        let in_time = tokio::select! {
            result = &mut answered => Some(result),
            () = grace_period_over(&stop, self.grace_period) => None,
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
            Some(result) => Some(result),
            // The last answers need the database, so it is closed afterwards.
            None => tokio::time::timeout(ANSWER_TIMEOUT, answered).await.ok(),
        };
        // No call comes any more, so none of the accepted heartbeats is lost.
        if tokio::time::timeout(HEARTBEATS_TIMEOUT, self.service.close_heartbeats()).await.is_err() {
            tracing::error!("last heartbeats were not written in time");
        }
        #[cfg(feature = "postgres")]
        if let Some(Err(error)) = match self.database {
            Some(database) => Some(database.close().await),
            None => None,
        } {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to close database");
        }
        #[cfg(feature = "sim")]
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
        result
    }
}

/// Waits until the grace period of a shutdown is over.
async fn grace_period_over(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
    tracing::warn!("grace period over, abandoning requests");
}
