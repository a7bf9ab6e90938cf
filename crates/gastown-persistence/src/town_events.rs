//! The history of a town as its owner reads it, by one statement that authorizes the caller.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Caller, EventPage, StoreError};
use gastown_domain::{EventAction, EventActor, EventCause, EventId, EventOutcome, HistoryEvent, Recorded, UserId};
use sea_orm::{DbErr, JsonValue, QueryResult};
use uuid::Uuid;

use crate::Database;
use crate::error::store_error;
use crate::events::{ACCEPTED, SAVED_AT};
use crate::read_connections::Parameters;
use crate::reads::{PEPPER, TOWN_OF_CALLER};

/// The column with the id of the caller's town, which is `NULL` if there is no such town.
const TOWN: &str = "t_id";
/// The prefix of the columns of an event.
const EVENT: &str = "e_";
/// The restriction to events before the one of `$4`. The first part uses the index, even for a removed event.
const BEFORE: &str = "AND x.at <= (SELECT c.at FROM gastown_town_events c WHERE c.id = $4 AND c.town_id = $2) \
     AND (x.at < (SELECT c.at FROM gastown_town_events c WHERE c.id = $4 AND c.town_id = $2) OR x.id < $4)";

/// Returns the statement of the last events of a town, and that of the events before one.
pub(crate) fn statements() -> (String, String) {
    (statement(""), statement(BEFORE))
}

fn statement(before: &str) -> String {
    let visible = EventAction::ALL.map(|action| format!("'{}'", action.as_str())).join(", ");
    format!(
        "SELECT u.api_token_pepper AS {PEPPER}, t.id AS {TOWN}, e.id AS {EVENT}id, e.at AS {EVENT}at, e.actor AS {EVENT}actor, \
         e.action AS {EVENT}action, e.outcome AS {EVENT}outcome, e.error AS {EVENT}error, e.detail AS {EVENT}detail, \
         r.action AS {EVENT}requested, r.at AS {EVENT}requested_at \
         FROM kilocode_users u {TOWN_OF_CALLER} \
         LEFT JOIN (SELECT x.id, x.town_id, x.operation_id, x.at, x.actor, x.action, x.outcome, x.error, x.detail \
         FROM gastown_town_events x WHERE x.town_id = $2 AND x.action IN ({visible}) {before} \
         ORDER BY x.at DESC, x.id DESC LIMIT $3) e ON e.town_id = t.id \
         LEFT JOIN gastown_town_events r ON r.operation_id = e.operation_id AND r.outcome = '{ACCEPTED}' \
         AND r.action <> '{RETRY}' AND e.outcome <> '{ACCEPTED}' \
         WHERE u.id = $1 ORDER BY e.at DESC, e.id DESC",
        RETRY = EventAction::Retry.as_str(),
    )
}

impl Database {
    /// Returns a page of the history of the caller's town, live or being removed.
    pub(crate) async fn events_of(
        &self,
        caller: &Caller,
        page: EventPage,
    ) -> Result<Option<Vec<HistoryEvent>>, StoreError> {
        let EventPage { town, before, limit } = page;
        let statement = if before.is_some() { &self.statements.events_before } else { &self.statements.events };
        let values = Parameters {
            user: caller.user().as_str(),
            town: Some(town.as_uuid()),
            limit: Some(i64::from(limit)),
            before: before.map(EventId::as_uuid),
        };
        let rows = self.read_for(caller, statement, values).await?;
        page_in(&rows, caller.user()).map_err(store_error)
    }
}

fn page_in(rows: &[QueryResult], owner: &UserId) -> Result<Option<Vec<HistoryEvent>>, DbErr> {
    let Some(first) = rows.first() else { return Ok(None) };
    if first.try_get::<Option<Uuid>>("", TOWN)?.is_none() {
        return Ok(None);
    }
    let events = rows.iter().filter_map(|row| event_in(row, owner).transpose());
    events.collect::<Result<_, _>>().map(Some)
}

/// Returns the event of a row, or `None` if the town has none.
fn event_in(row: &QueryResult, owner: &UserId) -> Result<Option<HistoryEvent>, DbErr> {
    let Some(id) = row.try_get::<Option<Uuid>>(EVENT, "id")? else { return Ok(None) };
    let (actor, action, outcome): (String, String, String) =
        (row.try_get(EVENT, "actor")?, row.try_get(EVENT, "action")?, row.try_get(EVENT, "outcome")?);
    let requested: Option<String> = row.try_get(EVENT, "requested")?;
    // An undo ends as a stop or a roll back, and its owner reads the operation that was requested.
    let Ok(action) = requested.as_deref().unwrap_or(&action).parse::<EventAction>() else { return Ok(None) };
    let at: DateTime<Utc> = row.try_get(EVENT, "at")?;
    let detail: Option<JsonValue> = row.try_get(EVENT, "detail")?;
    let text = |name: &str| detail.as_ref().and_then(|detail| detail.get(name)?.as_str().map(str::to_owned));
    let (cause, outcome) = match action {
        EventAction::Drift => {
            (Some(EventCause::Drift(Recorded::read(&outcome))), Recorded::Known(EventOutcome::Observed))
        }
        EventAction::Health => {
            let reason: Option<String> = row.try_get(EVENT, "error")?;
            let cause = EventCause::Health(Recorded::read(&outcome), reason.as_deref().map(Recorded::read));
            (Some(cause), Recorded::Known(EventOutcome::Observed))
        }
        EventAction::RigRefused => (text("reason").map(EventCause::Sandbox), Recorded::read(&outcome)),
        EventAction::Create
        | EventAction::Restore
        | EventAction::UndoRestore
        | EventAction::Start
        | EventAction::Stop
        | EventAction::Restart
        | EventAction::Destroy
        | EventAction::RollBack
        | EventAction::AddRig
        | EventAction::RemoveRig
        | EventAction::UpdateConfig
        | EventAction::Retry => {
            let error: Option<String> = row.try_get(EVENT, "error")?;
            let failure = error.map(|error| EventCause::Failure(Recorded::read(&error)));
            (failure.or_else(|| saved_at(action, detail.as_ref())), Recorded::read(&outcome))
        }
    };
    let requested_at: Option<DateTime<Utc>> = row.try_get(EVENT, "requested_at")?;
    Ok(Some(HistoryEvent {
        id: EventId::new(id),
        at,
        actor: EventActor::of(&actor, owner),
        action,
        outcome,
        duration: requested_at.map(|before| (at - before).to_std().unwrap_or(Duration::ZERO)),
        rig: text("rig_name").and_then(|name| name.parse().ok()),
        cause,
    }))
}

/// Returns the time of the data of a restore, from its details.
fn saved_at(action: EventAction, detail: Option<&JsonValue>) -> Option<EventCause> {
    if action != EventAction::Restore {
        return None;
    }
    detail?.get(SAVED_AT)?.as_str()?.parse().ok().map(EventCause::SavedAt)
}
