//! The values that the console shows, and the actions that it may request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::TownId;
use gastown_domain::ports::{Clock, Figures, Operator, Orphans, Readiness, Rollouts, SingletonJobs, StoreError};

/// The ports of the console.
pub struct Sources {
    /// Towns, operations and events.
    pub operator: Arc<dyn Operator>,
    /// Counts of the registry.
    pub figures: Arc<dyn Figures>,
    /// The periodic jobs and their alarms.
    pub jobs: Arc<dyn SingletonJobs>,
    /// The orphan records.
    pub orphans: Arc<dyn Orphans>,
    /// The rollouts. They are changed only if there are actions.
    pub rollouts: Arc<dyn Rollouts>,
    /// The check of the database.
    pub readiness: Arc<dyn Readiness>,
    /// The queues for the provider's rate limits in this process.
    pub queues: Arc<dyn ProviderQueues>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Returns the names of a town's resources at the provider.
    pub resource_names: fn(TownId) -> Vec<String>,
    /// Returns random letters and digits for a session.
    pub nonce: fn() -> String,
    /// The failed attempts in a row after which an operation needs attention.
    pub alert_attempts: u32,
    /// The actions. `None`: the console only reads.
    pub actions: Option<Arc<dyn TownActions>>,
}

/// The queues of one process for the provider's rate limits.
pub trait ProviderQueues: Send + Sync {
    /// Returns the queues in which calls wait, the longest wait first.
    fn queues(&self) -> Vec<Queue>;

    /// Returns each kind of call with its limit in words.
    fn limits(&self) -> Vec<(String, String)>;
}

/// A queue in which calls wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The kind of the calls.
    pub call: String,
    /// The app or machine that the provider counts them against.
    pub subject: String,
    /// Waiting calls with a waiting caller.
    pub waiting: usize,
    /// Waiting calls of background work, which go last.
    pub behind: usize,
    /// The time for which the oldest of them has waited.
    pub waited: Duration,
    /// The time for which the last of them still waits.
    pub remaining: Duration,
}

/// An action on a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TownAction {
    /// Start it.
    Start,
    /// Stop it, after a last sync.
    Stop,
    /// Destroy it with its data.
    Destroy,
}

impl TownAction {
    /// All actions.
    pub const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Destroy];

    /// Returns the name in addresses and on buttons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Destroy => "destroy",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// The answer to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionResult {
    /// The operation is accepted, or one of its kind was in flight.
    Accepted,
    /// An operation of another kind is in flight.
    Busy,
    /// There is no such town, or it is destroyed.
    NotFound,
}

/// Requests operations for an operator.
#[async_trait]
pub trait TownActions: Send + Sync {
    /// Requests an operation on any owner's town. Workers execute it. Its event names `actor`.
    async fn request(&self, town: TownId, action: TownAction, actor: &str) -> Result<ActionResult, StoreError>;
}
