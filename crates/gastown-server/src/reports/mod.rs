//! The answers to operators: what their commands print with `--json`, and what the operators' API sends.
//!
//! Names are in camelCase and times in ISO 8601, as on the wire of users. Texts that a newer version may have recorded are
//! texts here, so that an older command shows them. Nothing here has the configuration of a user, which may be confidential.

mod check;
mod event;
mod operation;
mod orphan;
mod rollout;
mod town;

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::ports::{self, Unreadable};
use gastown_domain::{Failure, Recorded, RecordedOperation, TownId};
use gastown_orchestrator::Policy;
use serde::{Deserialize, Serialize, Serializer};

pub(crate) use check::{Check, Diagnosis, State};
pub(crate) use event::{Event, EventList, EventOfTown};
pub(crate) use operation::{AcceptedRequest, HeldOperation, Job, Operation, OperationEnd, OperationList, Retry};
pub(crate) use orphan::{Deletion, FoundOrphan, Orphan, Survey, alarm_in_words};
pub(crate) use rollout::{FailedTown, NewestRollout, Rollout, RolloutTowns, TownsOfImage};
pub(crate) use town::{Health, ListedTown, MachineOfTown, Rig, Town, TownList, TownReport, reason_in_words};

/// A time. It is written in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(pub(crate) DateTime<Utc>);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl From<DateTime<Utc>> for Moment {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at)
    }
}

/// A part of an answer, or the row that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Readable<T> {
    /// The row cannot be read.
    Unreadable(UnreadableRow),
    /// The part.
    Read(T),
}

/// A row that exists but cannot be read and must be repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadableRow {
    /// The town.
    pub(crate) town_id: TownId,
    /// The row and the column.
    pub(crate) unreadable: String,
}

impl<T> Readable<T> {
    /// Returns the part if it could be read.
    pub(crate) const fn read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Unreadable(_) => None,
        }
    }

    pub(crate) fn as_result(&self) -> Result<&T, &UnreadableRow> {
        match self {
            Self::Read(value) => Ok(value),
            Self::Unreadable(row) => Err(row),
        }
    }

    /// Returns the report of a row.
    pub(crate) fn of<'a, S>(row: &'a ports::Readable<S>) -> Self
    where
        T: From<&'a S>,
    {
        match row {
            Ok(value) => Self::Read(value.into()),
            Err(row) => Self::Unreadable(row.into()),
        }
    }
}

impl From<&Unreadable> for UnreadableRow {
    fn from(row: &Unreadable) -> Self {
        Self { town_id: row.town, unreadable: row.which.clone() }
    }
}

/// The cause of a failure, with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    /// The code, as it is stored.
    pub(crate) code: String,
    /// The meaning for people.
    pub(crate) message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl From<&Recorded<Failure>> for Cause {
    fn from(failure: &Recorded<Failure>) -> Self {
        let message = failure.known().unwrap_or(Failure::Unrecognized).message();
        Self { code: failure.as_str().to_owned(), message: message.to_owned() }
    }
}

/// Replaces control characters, so that foreign text cannot control the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Returns the text of a report, with its fields in alphabetical order.
pub(crate) fn json(report: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_value(report).map(|value| value.to_string())
}

/// Returns true if an operation failed so often that an operator should act (FM-14).
pub(crate) fn needs_attention(operation: &RecordedOperation) -> bool {
    operation.attempt >= Policy::production().limits.alert_attempts
}

#[cfg(test)]
mod tests;
