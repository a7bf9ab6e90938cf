//! Measurements of events, for operators. They are counted and never stored by town or by user.

use std::time::Duration;

use super::OperationResult;
use crate::{OperationKind, Rejection, StepName};

/// The end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationOutcome {
    /// It reached its goal.
    Succeeded,
    /// It failed. A start that failed was undone.
    Failed,
    /// A create was undone.
    RolledBack,
    /// A destroy pre-empted it.
    Preempted,
}

impl OperationOutcome {
    /// All variants.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::RolledBack, Self::Preempted];

    /// Returns the outcome of a result.
    pub const fn of(result: &OperationResult) -> Self {
        match result {
            Ok(()) => Self::Succeeded,
            Err(Rejection::Failed(_)) => Self::Failed,
            Err(Rejection::RolledBack(_)) => Self::RolledBack,
            Err(Rejection::Preempted) => Self::Preempted,
        }
    }

    /// Returns the text that operators see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Preempted => "preempted",
        }
    }
}

/// The result of one execution of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepResult {
    /// The call was accepted or the state was reached.
    Done,
    /// There was nothing to do yet.
    Waiting,
    /// The call failed.
    Failed,
}

impl StepResult {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Done, Self::Waiting, Self::Failed];

    /// Returns the text that operators see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// The class of a call to the provider by its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderCallResult {
    /// The provider did it, or answered the read.
    Succeeded,
    /// The object does not exist, which is often what the caller asks.
    NotFound,
    /// The provider limits our calls.
    Throttled,
    /// The provider refused the call for another reason.
    Refused,
    /// The provider answered with an error of its own.
    ServerError,
    /// The call did not leave this process.
    NotSent,
    /// The call was sent and its answer did not arrive, or was not readable.
    Lost,
    /// The queue for the provider's limits was too long.
    Queued,
}

impl ProviderCallResult {
    /// All variants.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::NotFound,
        Self::Throttled,
        Self::Refused,
        Self::ServerError,
        Self::NotSent,
        Self::Lost,
        Self::Queued,
    ];

    /// Returns the text that operators see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::NotSent => "not_sent",
            Self::Lost => "lost",
            Self::Queued => "queued",
        }
    }
}

/// The reason why a call or a connection was refused to protect the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// All callers together have too many calls.
    Overloaded,
    /// One caller has too many calls, or a sandbox calls too often.
    CallerLimit,
    /// The caller has not read earlier answers.
    AnswersNotRead,
    /// The call did not start in time.
    NotStarted,
}

impl Shed {
    /// All variants.
    pub const ALL: [Self; 4] = [Self::Overloaded, Self::CallerLimit, Self::AnswersNotRead, Self::NotStarted];

    /// Returns the text that operators see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::CallerLimit => "caller_limit",
            Self::AnswersNotRead => "answers_not_read",
            Self::NotStarted => "not_started",
        }
    }
}

/// One event that is counted. No variant has a town, a user or a text from outside, so the number of series is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    /// An operation ended.
    OperationEnded {
        /// Its kind at its end. A create that was undone is a roll back.
        kind: OperationKind,
        /// The end.
        outcome: OperationOutcome,
        /// The time since it was accepted, by the database's clock.
        took: Duration,
    },
    /// A step was executed.
    StepExecuted {
        /// The step.
        step: StepName,
        /// The result.
        result: StepResult,
        /// The time of its call, with its wait for the provider's limits.
        took: Duration,
    },
    /// A claim was lost while its operation was driven, to another process or to a destroy.
    ClaimLost {
        /// The kind of the operation.
        kind: OperationKind,
    },
    /// A call to the provider ended.
    ProviderCalled {
        /// The name of the action, one of a fixed list of the adapter.
        action: &'static str,
        /// The class of the result.
        result: ProviderCallResult,
        /// The time in the queue for the provider's limits.
        queued: Duration,
        /// The time from sending to the answer. Zero if nothing was sent.
        took: Duration,
    },
    /// A call of a client or a sandbox was answered.
    CallAnswered {
        /// The name of the procedure, or `unknown`.
        procedure: &'static str,
        /// The code of the protocol, or `OK`.
        code: &'static str,
        /// The time from the arrival of its head to its result.
        took: Duration,
    },
    /// A call was refused to protect the service.
    CallShed(Shed),
    /// The number of open connections of clients.
    ConnectionsOpen(usize),
    /// A connection was refused, or taken only for a probe.
    ConnectionRefused,
    /// The number of clients that watch towns at present.
    WatchersOpen(usize),
    /// A transaction or a read waited for a connection to the database.
    DatabaseWaited(Duration),
    /// A heartbeat was accepted.
    HeartbeatAccepted,
    /// A batch of heartbeats of this many live towns was written.
    HeartbeatsWritten(usize),
    /// The number of heartbeats that are not written yet.
    HeartbeatsWaiting(usize),
    /// Stops of this many idle towns were requested.
    IdleStopsRequested(usize),
    /// A batch of health checks ended.
    HealthChecked {
        /// Sandboxes that are well.
        healthy: usize,
        /// Failed checks.
        failed: usize,
        /// Towns that could not be asked, or whose failure does not count.
        unknown: usize,
        /// Restarts that were accepted.
        restarted: usize,
    },
}

/// Counts events. An implementation does not block, because it is called on every path.
pub trait Metrics: std::fmt::Debug + Send + Sync {
    /// Counts one event.
    fn record(&self, measurement: Measurement);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn record(&self, _: Measurement) {}
}

/// Keeps every event, for tests.
#[cfg(any(test, feature = "mock"))]
#[derive(Debug, Default)]
pub struct KeptMetrics(std::sync::Mutex<Vec<Measurement>>);

#[cfg(any(test, feature = "mock"))]
impl KeptMetrics {
    /// Returns the events since the last call.
    pub fn take(&self) -> Vec<Measurement> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(any(test, feature = "mock"))]
impl Metrics for KeptMetrics {
    fn record(&self, measurement: Measurement) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(measurement);
    }
}
