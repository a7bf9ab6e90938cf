//! Operations in flight, those that failed, and periodic jobs.

use gastown_domain::ports::{self, JobState};
use gastown_domain::{OperationId, Recorded, RecordedOperation, TownId, UserId};
use serde::{Deserialize, Serialize};

use super::{Cause, EventOfTown, Moment, Readable, needs_attention};

/// An operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "named like the members of the answer")]
pub(crate) struct Operation {
    pub(crate) operation_id: OperationId,
    pub(crate) town_id: TownId,
    pub(crate) kind: String,
    /// The phase.
    pub(crate) mark: String,
    pub(crate) step: Option<String>,
    pub(crate) attempt: u32,
    /// True if it failed so often that an operator should act.
    pub(crate) attention: bool,
    pub(crate) last_error: Option<Cause>,
    /// The cause of a roll back.
    pub(crate) cause: Option<Cause>,
    pub(crate) queued_ms: u64,
    /// The author: the user, an operator, or a part of the service.
    pub(crate) requested_by: String,
    pub(crate) next_attempt_at: Moment,
    pub(crate) deadline_at: Option<Moment>,
    pub(crate) started_at: Moment,
    pub(crate) updated_at: Moment,
}

/// An operation in flight, with its town and the worker that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldOperation {
    #[serde(flatten)]
    pub(crate) operation: Operation,
    pub(crate) user_id: UserId,
    pub(crate) town_name: String,
    pub(crate) held_by: Option<String>,
    pub(crate) lease_expires_at: Option<Moment>,
}

/// The last run of a periodic job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// The name of the job.
    pub(crate) pass: String,
    pub(crate) ended_at: Option<Moment>,
    pub(crate) alarm: Option<String>,
}

/// The operations in flight, those that failed, and the periodic jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationList {
    pub(crate) operations: Vec<Readable<HeldOperation>>,
    /// The number of operations in flight, listed or not.
    pub(crate) in_flight: usize,
    pub(crate) failed: Vec<EventOfTown>,
    pub(crate) passes: Vec<Job>,
}

/// An operation that was made due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retry {
    pub(crate) town_id: TownId,
    pub(crate) operation: Operation,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationEnd {
    pub(crate) operation_id: OperationId,
    /// True if its end is recorded.
    pub(crate) ended: bool,
    /// The cause, if it failed.
    pub(crate) failure: Option<Cause>,
}

/// The answer to a request: the operation in flight, which may be an earlier one of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedRequest {
    pub(crate) town_id: TownId,
    pub(crate) operation_id: OperationId,
}

impl From<&RecordedOperation> for Operation {
    fn from(operation: &RecordedOperation) -> Self {
        Self {
            operation_id: operation.id,
            town_id: operation.town,
            kind: operation.kind.as_str().to_owned(),
            mark: operation.phase.as_str().to_owned(),
            step: operation.step.as_ref().map(|step| step.as_str().to_owned()),
            attempt: operation.attempt,
            attention: needs_attention(operation),
            last_error: operation.last_error.as_ref().map(Cause::from),
            cause: operation.cause.as_ref().map(Cause::from),
            queued_ms: operation.progress.queued_ms,
            requested_by: operation.author().to_owned(),
            next_attempt_at: operation.next_attempt_at.into(),
            deadline_at: operation.deadline_at.map(Moment),
            started_at: operation.created_at.into(),
            updated_at: operation.updated_at.into(),
        }
    }
}

impl From<&ports::HeldOperation> for HeldOperation {
    fn from(held: &ports::HeldOperation) -> Self {
        Self {
            operation: (&held.operation).into(),
            user_id: held.owner.clone(),
            town_name: held.name.clone(),
            held_by: held.held_by.as_ref().map(|worker| worker.0.clone()),
            lease_expires_at: held.lease_expires_at.map(Moment),
        }
    }
}

impl From<&JobState> for Job {
    fn from(state: &JobState) -> Self {
        let alarm = state.alarm.as_ref().map(Recorded::as_str);
        Self {
            pass: state.job.as_str().to_owned(),
            ended_at: state.ended_at.map(Moment),
            alarm: alarm.map(str::to_owned),
        }
    }
}
