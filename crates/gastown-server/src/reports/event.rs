//! Events of towns.

use gastown_domain::ports::{AuditedEvent, TownEvent};
use gastown_domain::{OperationId, Recorded, TownId};
use serde::{Deserialize, Serialize};

use super::{Cause, Moment};

/// An event in the history of a town.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) at: Moment,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) outcome: String,
    /// The code of the failure.
    pub(crate) error: Option<String>,
    /// The meaning of the code.
    pub(crate) message: Option<String>,
    pub(crate) last_step: Option<String>,
    pub(crate) operation_id: Option<OperationId>,
}

/// An event with its town.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventOfTown {
    pub(crate) town_id: TownId,
    pub(crate) user_id: String,
    pub(crate) town_name: String,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// A list of events, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventList {
    pub(crate) events: Vec<EventOfTown>,
    /// True if the limit has left some out.
    pub(crate) more: bool,
}

/// Returns the meaning of an event's code. An adoption has a text for people instead of a code.
fn meaning(action: &str, code: &str) -> String {
    if action == "adopt" { code.to_owned() } else { Cause::from(&Recorded::read(code)).message }
}

impl From<&TownEvent> for Event {
    fn from(event: &TownEvent) -> Self {
        Self {
            at: event.at.into(),
            actor: event.actor.clone(),
            action: event.action.clone(),
            outcome: event.outcome.clone(),
            error: event.error.clone(),
            message: event.error.as_deref().map(|code| meaning(&event.action, code)),
            last_step: event.last_step.clone(),
            operation_id: event.operation,
        }
    }
}

impl From<&AuditedEvent> for EventOfTown {
    fn from(AuditedEvent { town, owner, name, event }: &AuditedEvent) -> Self {
        Self { town_id: *town, user_id: owner.clone(), town_name: name.clone(), event: event.into() }
    }
}

impl EventList {
    /// Returns the first `limit` events. One more shows that there are more.
    pub(crate) fn of(events: &[AuditedEvent], limit: u32) -> Self {
        let limit = limit as usize;
        Self { events: events.iter().take(limit).map(EventOfTown::from).collect(), more: events.len() > limit }
    }
}
