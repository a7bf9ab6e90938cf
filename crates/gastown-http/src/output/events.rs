//! The history of a town.

use gastown_domain::{EventCause, EventId, HistoryEvent};
use serde::Serialize;

use super::Moment;

/// A page of the history of a town, newest first.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EventPage"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventPageView {
    /// The events.
    events: Vec<EventView>,
    /// The cursor of the next page. `null`: there are no older events.
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::Id>"))]
    next_cursor: Option<EventId>,
}

impl EventPageView {
    /// Returns a page of at most `limit` events. A full page may have older ones.
    pub(crate) fn new(events: Vec<HistoryEvent>, limit: u32) -> Self {
        let is_full = u32::try_from(events.len()).is_ok_and(|events| events >= limit);
        let next_cursor = events.last().filter(|_| is_full).map(|event| event.id);
        Self { events: events.into_iter().map(EventView::from).collect(), next_cursor }
    }
}

/// An event in the history of a town.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "TownEvent"))]
#[serde(rename_all = "camelCase")]
struct EventView {
    /// The id, which is also a cursor.
    #[cfg_attr(feature = "schema", schemars(with = "super::Id"))]
    event_id: EventId,
    /// The time.
    at: Moment,
    /// The author. The end of an operation has that of its request.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::EventActor"))]
    actor: &'static str,
    /// The action. The end of an operation has that of its request.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<gastown_domain::EventAction>"))]
    action: &'static str,
    /// The outcome.
    #[cfg_attr(feature = "schema", schemars(with = "gastown_domain::Recorded<gastown_domain::EventOutcome>"))]
    outcome: String,
    /// A sentence for people.
    message: String,
    /// The time from the request to the end of an operation, in milliseconds.
    duration_ms: Option<u64>,
    /// The name of the rig, for an event of a rig.
    rig_name: Option<String>,
    /// The reason of a failure, a change from outside or a refused rig, or the new state of the health.
    cause: Option<CauseView>,
}

impl From<HistoryEvent> for EventView {
    fn from(event: HistoryEvent) -> Self {
        Self {
            event_id: event.id,
            at: Moment(event.at),
            actor: event.actor.as_str(),
            action: event.action.as_str(),
            outcome: event.outcome.to_string(),
            message: event.message(),
            duration_ms: event.duration.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            rig_name: event.rig.map(String::from),
            cause: event.cause.as_ref().map(CauseView::from),
        }
    }
}

/// The reason of an event.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EventCause"))]
struct CauseView {
    /// The code. Programs test it.
    code: String,
    /// The text for the user.
    message: String,
}

impl From<&EventCause> for CauseView {
    fn from(cause: &EventCause) -> Self {
        Self { code: cause.code().to_owned(), message: cause.message().into_owned() }
    }
}
