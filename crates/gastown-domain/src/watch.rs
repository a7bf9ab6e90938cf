//! Watching a town: from the last position of a watcher and the present report to what has changed.
//!
//! Pure. A position is all that a watcher keeps, and any process can resume from it. The steps are recorded in the operation's
//! progress, and in the event of its end.

mod list;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::ports::{LastOutcome, TownReport};
use crate::text_enum::text_enum;
use crate::{
    BegunStep, Failure, HealthState, IdleStop, Invalid, OperationId, OperationKind, Recorded, RecordedOperation,
    TownStatus,
};

pub use list::{ListPosition, TownsChanged, list_at_first, list_changes};

text_enum! {
    expected "a known kind of change";
    /// The kind of a change of a watched town.
    pub enum ChangeKind {
        /// The town as it is when watching begins.
        Present = "present",
        /// An operation was requested.
        Started = "started",
        /// An operation began a step.
        Step = "step",
        /// An attempt failed, and another one follows.
        Retry = "retry",
        /// The status of the town changed.
        Status = "status",
        /// The health of the town changed.
        Health = "health",
        /// An operation ended.
        Ended = "ended",
        /// Nothing is left of the town.
        Gone = "gone",
    }
}

/// A change of a watched town.
#[derive(Debug, Clone, PartialEq)]
pub struct TownChanged {
    /// The position after this change.
    pub position: WatchPosition,
    /// The kind.
    pub kind: ChangeKind,
    /// The time of the change, as far as it is recorded.
    pub at: DateTime<Utc>,
    /// A sentence for the town's owner.
    pub message: String,
    /// The step that was begun, by its stored text.
    pub step: Option<String>,
    /// The cause of a failed attempt or operation.
    pub failure: Option<Recorded<Failure>>,
    /// The present status of the town.
    pub status: TownStatus,
    /// The present operation in flight.
    pub operation: Option<RecordedOperation>,
}

/// The changes of a town that a watcher has seen.
///
/// Its text is the id of an event. A text of another version is not understood, and the watcher begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchPosition {
    /// The last operation whose end was seen.
    ended: Option<OperationId>,
    /// The operation that was seen in flight, with its last step and its failed attempts.
    in_flight: Option<(OperationId, u32, u32)>,
    status: TownStatus,
    /// A digest of the health.
    health: u64,
}

impl fmt::Display for WatchPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: OperationId| id.as_uuid().simple().to_string();
        let ended = self.ended.map_or_else(|| "0".to_owned(), id);
        let (operation, step, attempt) =
            self.in_flight.map_or_else(|| ("0".to_owned(), 0, 0), |(it, step, attempt)| (id(it), step, attempt));
        write!(f, "1.{ended}.{operation}.{step}.{attempt}.{}.{:x}", self.status.as_str(), self.health)
    }
}

impl FromStr for WatchPosition {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read_position(text).ok_or(Invalid::Shape { expected: "an id of an event" })
    }
}

fn read_position(text: &str) -> Option<WatchPosition> {
    if text.len() > 200 {
        return None;
    }
    let mut parts = text.split('.');
    let mut part = || parts.next();
    (part()? == "1").then_some(())?;
    let ended = read_id(part()?)?;
    let operation = read_id(part()?)?;
    let (step, attempt) = (part()?.parse().ok()?, part()?.parse().ok()?);
    let (status, health) = (part()?.parse().ok()?, u64::from_str_radix(part()?, 16).ok()?);
    part().is_none().then_some(())?;
    Some(WatchPosition { ended, in_flight: operation.map(|id| (id, step, attempt)), status, health })
}

/// Returns the id, or `Some(None)` for none.
#[expect(clippy::option_option, reason = "a malformed id is not the same as none")]
fn read_id(text: &str) -> Option<Option<OperationId>> {
    if text == "0" {
        return Some(None);
    }
    Uuid::try_parse(text).ok().map(|id| Some(OperationId::new(id)))
}

/// Returns everything that has changed since a position, in order. Without a position, watching begins.
pub fn changes(since: Option<&WatchPosition>, report: &TownReport) -> Vec<TownChanged> {
    let mut changes = match since {
        Some(position) => Changes { position: position.clone(), report, all: Vec::new() },
        None => Changes::begin(report),
    };
    changes.end_of_last();
    changes.state();
    changes.operation();
    changes.all
}

/// Returns the change of a town of which nothing is left.
pub fn gone(position: &WatchPosition, at: DateTime<Utc>) -> TownChanged {
    TownChanged {
        position: WatchPosition { in_flight: None, status: TownStatus::Destroyed, ..position.clone() },
        kind: ChangeKind::Gone,
        at,
        message: "Nothing is left of the town".to_owned(),
        step: None,
        failure: None,
        status: TownStatus::Destroyed,
        operation: None,
    }
}

/// The changes so far, and the position after them.
struct Changes<'a> {
    position: WatchPosition,
    report: &'a TownReport,
    all: Vec<TownChanged>,
}

impl<'a> Changes<'a> {
    /// Begins with the present state. Operations that have ended before are not told.
    fn begin(report: &'a TownReport) -> Self {
        let ended = report.last_outcome.as_ref().and_then(|last| last.operation);
        let position =
            WatchPosition { ended, in_flight: None, status: report.town.status, health: health_digest(report) };
        let mut changes = Self { position, report, all: Vec::new() };
        let at = changes.latest();
        changes.add(ChangeKind::Present, at, status_message(report).to_owned());
        changes
    }

    /// Returns the latest recorded time.
    fn latest(&self) -> DateTime<Utc> {
        let operation = self.report.operation.as_ref().map(|operation| operation.updated_at);
        let ended = self.report.last_outcome.as_ref().map(|last| last.at);
        operation.max(ended).unwrap_or(self.report.town.created_at)
    }

    fn add(&mut self, kind: ChangeKind, at: DateTime<Utc>, message: String) -> Option<&mut TownChanged> {
        self.all.push(TownChanged {
            position: self.position.clone(),
            kind,
            at,
            message,
            step: None,
            failure: None,
            status: self.report.town.status,
            operation: self.report.operation.clone(),
        });
        self.all.last_mut()
    }

    /// Tells the rest and the end of the last operation that has ended.
    fn end_of_last(&mut self) {
        let Some(last) = self.report.last_outcome.as_ref() else { return };
        let Some(id) = last.operation.filter(|id| self.position.ended != Some(*id)) else { return };
        self.steps(id, &last.steps);
        (self.position.ended, self.position.in_flight) = (Some(id), None);
        self.position.status = self.report.town.status;
        if let Some(change) = self.add(ChangeKind::Ended, last.at, end_message(last, self.report)) {
            change.failure.clone_from(&last.failure);
        }
    }

    /// Tells the steps of an operation that were not seen.
    fn steps(&mut self, id: OperationId, steps: &[BegunStep]) {
        let (seen, attempt) = match self.position.in_flight {
            Some((known, step, attempt)) if known == id => (step, attempt),
            Some(_) | None => (0, 0),
        };
        self.position.in_flight = Some((id, seen, attempt));
        for begun in steps.iter().filter(|begun| begun.number > seen) {
            self.position.in_flight = Some((id, begun.number, attempt));
            if let Some(change) = self.add(ChangeKind::Step, begun.at, begun.message().to_owned()) {
                change.step = Some(begun.step.clone());
            }
        }
    }

    /// Tells a change of status or health.
    fn state(&mut self) {
        let (status, health, at) = (self.report.town.status, health_digest(self.report), self.latest());
        if self.position.status != status {
            self.position.status = status;
            self.add(ChangeKind::Status, at, status_message(self.report).to_owned());
        }
        if self.position.health != health {
            self.position.health = health;
            self.add(ChangeKind::Health, at, health_message(self.report));
        }
    }

    /// Tells the operation in flight: its start, its steps, and its last failed attempt.
    fn operation(&mut self) {
        let Some(operation) = self.report.operation.as_ref() else { return };
        let is_known = self.position.in_flight.is_some_and(|(known, _, _)| known == operation.id);
        if !is_known {
            self.position.in_flight = Some((operation.id, 0, 0));
            self.add(ChangeKind::Started, operation.created_at, started_message(operation));
        }
        self.steps(operation.id, &operation.progress.steps);
        let Some((id, step, attempts)) = self.position.in_flight else { return };
        self.position.in_flight = Some((id, step, operation.attempt));
        if operation.attempt > attempts {
            let failure = operation.last_error.clone();
            let text = failure.as_ref().map_or("the attempt failed", |failure| failure.message());
            let message = format!("Attempt {} failed: {text}", operation.attempt);
            if let Some(change) = self.add(ChangeKind::Retry, operation.updated_at, message) {
                change.failure = failure;
            }
        }
    }
}

fn started_message(operation: &RecordedOperation) -> String {
    if operation.is_idle_stop() {
        return "The stop was requested, because the town was idle".to_owned();
    }
    let kind = operation.kind.known();
    kind.map_or_else(|| "An operation was requested".to_owned(), |kind| format!("{} was requested", kind.noun()))
}

fn end_message(last: &LastOutcome, report: &TownReport) -> String {
    if last.kind == OperationKind::Stop && last.failure.is_none() && is_stopped_idle(report) {
        return "The town was stopped because it was idle".to_owned();
    }
    let participle = last.kind.known().map_or("changed", OperationKind::participle);
    match &last.failure {
        None => format!("The town was {participle}"),
        Some(failure) => format!("The town could not be {participle}: {}", failure.message()),
    }
}

/// Returns a sentence about a status.
fn status_message(report: &TownReport) -> &'static str {
    match report.town.status {
        TownStatus::Provisioning => "The town is being created",
        TownStatus::Running => "The town is running",
        TownStatus::Stopped if is_stopped_idle(report) => "The town is stopped, because it was idle",
        TownStatus::Stopped => "The town is stopped",
        TownStatus::Destroyed => "The town is destroyed",
    }
}

/// Returns true if an idle stop has stopped the town, and nothing has happened to it since.
fn is_stopped_idle(report: &TownReport) -> bool {
    matches!(report.idle_stop(), Some(IdleStop::Stopped { .. }))
}

fn health_message(report: &TownReport) -> String {
    let health = &report.health;
    match (&health.drift, failing_state(report), health.failures) {
        (Some((drift, _)), ..) => format!("The town was changed from outside: {}", drift.message()),
        (None, Some(state), _) => state.message(health.reason.as_ref()),
        (None, None, 0) => "The town is well".to_owned(),
        (None, None, failures) => format!("The sandbox failed {failures} checks in a row"),
    }
}

/// Returns the state of a town whose checks have failed too often.
fn failing_state(report: &TownReport) -> Option<&Recorded<HealthState>> {
    let state = &report.health.state;
    let is_failing = match state.known() {
        Some(HealthState::Unknown | HealthState::Healthy) => false,
        Some(HealthState::Unhealthy | HealthState::Error) | None => true,
    };
    is_failing.then_some(state)
}

/// Returns a digest of the parts of the health that are shown.
fn health_digest(report: &TownReport) -> u64 {
    let health = &report.health;
    let drift = health.drift.as_ref().map_or("", |(drift, _)| drift.as_str());
    let refused = health.refused_rigs.len();
    let mut text = format!("{} {} {drift} {refused}", health.failures, health.restarts);
    if let Some(state) = failing_state(report) {
        text = format!("{text} {state}");
    }
    digest(&text)
}

/// Returns a digest of a text (FNV-1a, which is the same in every process).
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
