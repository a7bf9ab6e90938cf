//! `gastown_town_events`, the append-only history of towns: actor, action, outcome and time.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{IdempotencyKey, KeyedRequest, LastOutcome, OperationResult, StoreError};
use gastown_domain::{
    EventActor, Failure, OperationId, OperationKind, Progress, Recorded, RecordedOperation, Rejection, TownId, UserId,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryResult, QuerySelect as _, Set,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::calendar::truncated;
use crate::entity::gastown_town_events as events;
use crate::error::{TxError, store_error};

/// The actor of events that no user requested.
pub(crate) const CONTROL_PLANE: &str = EventActor::SERVICE;

/// The actor of restarts and of changes of the health.
pub(crate) const MONITOR: &str = "monitor";

/// The actor of idle stops.
pub(crate) const IDLE: &str = EventActor::Idle.as_str();

/// The actor of restarts that a rollout requests, and of changes of a rollout that no operator made.
pub(crate) const ROLLOUT: &str = "rollout";

/// The outcome of an accepted request.
pub(crate) const ACCEPTED: &str = "accepted";

/// The outcome of a success.
pub(crate) const DONE: &str = "done";

/// The outcome of a failed operation.
pub(crate) const FAILED: &str = "failed";

/// The outcome of a create that was rolled back.
pub(crate) const ROLLED_BACK: &str = "rolled_back";

/// The outcome of an operation that another one pre-empted.
pub(crate) const PREEMPTED: &str = "preempted";

/// The outcomes of ended operations.
const ENDS: [&str; 4] = [DONE, FAILED, ROLLED_BACK, PREEMPTED];

/// The detail that holds the fingerprint of a keyed request.
const REQUEST: &str = "request";

/// The detail that holds the last steps of an ended operation.
const STEPS: &str = "steps";

/// The detail that holds the success of an ended operation's last sync.
const SYNCED: &str = "synced";

/// The detail with the time of the data of a restore.
pub(crate) const SAVED_AT: &str = "saved_at";

/// An event in the history of a town.
pub(crate) struct Event<'a> {
    town: TownId,
    operation: Option<OperationId>,
    actor: &'a str,
    action: &'a str,
    outcome: &'a str,
    error: Option<&'a str>,
    detail: Option<Value>,
    key: Option<&'a IdempotencyKey>,
    at: DateTime<Utc>,
}

impl<'a> Event<'a> {
    /// Creates an event without an operation.
    pub(crate) fn of(town: TownId, actor: &'a str, action: &'a str, outcome: &'a str, at: DateTime<Utc>) -> Self {
        Self { town, operation: None, actor, action, outcome, error: None, detail: None, key: None, at }
    }

    /// Creates the event of an accepted operation, by the author of its request.
    pub(crate) fn accepted(operation: &'a RecordedOperation) -> Self {
        let (actor, action) = (actor_of(operation), operation.kind.as_str());
        let detail = operation.progress.saved_at.map(|at| json!({SAVED_AT: at}));
        Self { detail, ..Self::of(operation.town, actor, action, ACCEPTED, operation.created_at).on(operation) }
    }

    /// Creates the event of an ended operation. [`outcome_of`] reads it.
    ///
    /// Afterwards it is the only record of the last sync's success (FM-12).
    pub(crate) fn ended(operation: &'a RecordedOperation, outcome: &'a OperationResult, at: DateTime<Utc>) -> Self {
        let (outcome, error) = match outcome {
            Ok(()) => (DONE, None),
            Err(Rejection::Failed(failure)) => (FAILED, Some(failure.as_str())),
            Err(Rejection::RolledBack(failure)) => (ROLLED_BACK, Some(failure.as_str())),
            Err(Rejection::Preempted) => (PREEMPTED, None),
        };
        let detail = end_detail(&operation.progress);
        Self { outcome, error, detail, at, ..Self::accepted(operation) }
    }

    /// Sets the operation.
    pub(crate) fn on(self, operation: &RecordedOperation) -> Self {
        self.of_operation(operation.id)
    }

    /// Sets the operation by its id.
    pub(crate) fn of_operation(self, operation: OperationId) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Sets the reason.
    pub(crate) fn because(self, reason: Option<&'a str>) -> Self {
        Self { error: reason, ..self }
    }

    /// Sets the details.
    pub(crate) fn detailed(self, detail: Value) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// Sets the idempotency key and the fingerprint. [`create_of_key`] finds the event.
    pub(crate) fn keyed(self, request: Option<&'a KeyedRequest>) -> Self {
        let Some(request) = request else { return self };
        let detail = json!({REQUEST: request.fingerprint.as_str()});
        Self { key: Some(&request.key), ..self.detailed(detail) }
    }

    /// Inserts the event.
    pub(crate) async fn record(self, tx: &impl ConnectionTrait) -> Result<(), TxError> {
        record_all(tx, [self]).await
    }

    fn into_row(self) -> events::ActiveModel {
        #[expect(clippy::disallowed_methods, reason = "nothing refers to an event by its id")]
        let id = Uuid::now_v7();
        events::ActiveModel {
            id: Set(id),
            town_id: Set(self.town.as_uuid()),
            operation_id: Set(self.operation.map(OperationId::as_uuid)),
            actor: Set(self.actor.to_owned()),
            action: Set(self.action.to_owned()),
            outcome: Set(self.outcome.to_owned()),
            error: Set(self.error.map(ToOwned::to_owned)),
            detail: Set(self.detail),
            idempotency_key: Set(self.key.map(|key| key.as_str().to_owned())),
            at: Set(truncated(self.at)),
        }
    }
}

/// Returns the actor of an operation. It stays the same if the kind changes, as when a failed restart becomes a stop.
fn actor_of(operation: &RecordedOperation) -> &str {
    if let Some(actor) = &operation.progress.actor {
        return actor;
    }
    // An older version has accepted it, or its owner has requested it.
    match operation.kind.known() {
        Some(OperationKind::Restart) if operation.progress.rollout.is_some() => ROLLOUT,
        Some(OperationKind::Restart) if !operation.progress.by_owner => MONITOR,
        _ if operation.is_idle_stop() => IDLE,
        _ => operation.requested_by.as_str(),
    }
}

/// Returns the details of an ended operation, if there are any.
fn end_detail(progress: &Progress) -> Option<Value> {
    let synced = progress.synced.map(|synced| (SYNCED.to_owned(), json!(synced)));
    let saved_at = progress.saved_at.map(|at| (SAVED_AT.to_owned(), json!(at)));
    let steps = (!progress.steps.is_empty()).then(|| (STEPS.to_owned(), json!(progress.steps)));
    let detail: Map<String, Value> = synced.into_iter().chain(saved_at).chain(steps).collect();
    (!detail.is_empty()).then_some(Value::Object(detail))
}

/// Returns the last step in the details of an ended operation.
pub(crate) fn last_step(detail: &Value) -> Option<String> {
    Some(detail.get(STEPS)?.as_array()?.last()?.get("step")?.as_str()?.to_owned())
}

/// Inserts events with one statement.
pub(crate) async fn record_all<'a>(
    tx: &impl ConnectionTrait,
    all: impl IntoIterator<Item = Event<'a>>,
) -> Result<(), TxError> {
    let rows: Vec<_> = all.into_iter().map(Event::into_row).collect();
    let insert = events::Entity::insert_many(rows);
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(TxError::writing("gastown_town_events"))
}

/// The create of an earlier request with the same key.
pub(crate) struct KeyedCreate {
    pub(crate) town: TownId,
    pub(crate) operation: OperationId,
    /// The fingerprint of the request, unless it is older than fingerprints.
    pub(crate) fingerprint: Option<String>,
}

/// Returns the create of the actor's earlier request with this key.
pub(crate) async fn create_of_key(
    db: &impl ConnectionTrait,
    actor: &UserId,
    key: &IdempotencyKey,
) -> Result<Option<KeyedCreate>, DbErr> {
    let found = events::Entity::find()
        .filter(events::Column::Actor.eq(actor.as_str()))
        .filter(events::Column::IdempotencyKey.eq(key.as_str()))
        .one(db)
        .await?;
    Ok(found.as_ref().and_then(keyed_create))
}

fn keyed_create(event: &events::Model) -> Option<KeyedCreate> {
    let operation = OperationId::new(event.operation_id?);
    let fingerprint = event.detail.as_ref().and_then(|detail| detail.get(REQUEST)?.as_str()).map(ToOwned::to_owned);
    Some(KeyedCreate { town: TownId::new(event.town_id), operation, fingerprint })
}

/// Returns the actor who has requested an operation, if its acceptance is recorded.
pub(crate) async fn actor_of_accepted(db: &impl ConnectionTrait, operation: Uuid) -> Result<Option<String>, DbErr> {
    let accepted = events::Entity::find()
        .filter(events::Column::OperationId.eq(operation))
        .filter(events::Column::Outcome.eq(ACCEPTED))
        .select_only()
        .column(events::Column::Actor);
    accepted.into_tuple::<String>().one(db).await
}

/// Returns the outcome of an operation, or `None` if no end is recorded. An outcome of a newer version is not understood, and
/// counts as none.
pub(crate) async fn outcome_of(
    db: &impl ConnectionTrait,
    operation: OperationId,
) -> Result<Option<OperationResult>, StoreError> {
    let ended = events::Entity::find()
        .filter(events::Column::OperationId.eq(operation.as_uuid()))
        .filter(events::Column::Outcome.is_in(ENDS))
        .one(db)
        .await
        .map_err(store_error)?;
    Ok(ended.map(|event| outcome(&event)))
}

fn outcome(event: &events::Model) -> OperationResult {
    let failure = || Recorded::read(event.error.as_deref().unwrap_or_default());
    match event.outcome.as_str() {
        DONE => Ok(()),
        FAILED => Err(Rejection::Failed(failure())),
        ROLLED_BACK => Err(Rejection::RolledBack(failure())),
        _ => Err(Rejection::Preempted),
    }
}

/// Returns the columns that [`last_outcome`] reads, each with the prefix. The alias of the table is the prefix without `_`.
pub(crate) fn end_columns(prefix: &str) -> String {
    let e = prefix.trim_end_matches('_');
    format!(
        "{e}.at AS {prefix}at, {e}.action AS {prefix}action, {e}.outcome AS {prefix}outcome, {e}.error AS {prefix}error, \
         {e}.operation_id AS {prefix}operation, {e}.detail AS {prefix}detail, \
         (SELECT MIN(a.action) FROM gastown_town_events a WHERE a.operation_id = {e}.operation_id \
         AND a.outcome = '{ACCEPTED}') AS {prefix}requested"
    )
}

/// Returns the join of the last end of an operation of a town. `town` is the expression of its id. An idle stop that the owner
/// has ended is left out, because its owner did not request it.
pub(crate) fn last_end(town: &str, alias: &str) -> String {
    let ends = ENDS.map(|outcome| format!("'{outcome}'")).join(", ");
    format!(
        "LEFT JOIN gastown_town_events {alias} ON {alias}.id = (SELECT x.id FROM gastown_town_events x \
         WHERE x.town_id = {town} AND x.operation_id IS NOT NULL AND x.outcome IN ({ends}) \
         AND NOT (x.outcome = '{PREEMPTED}' AND x.actor = '{IDLE}') ORDER BY x.at DESC, x.id DESC LIMIT 1)"
    )
}

/// Reads the end of an operation from a row with [`end_columns`].
///
/// An undo ends as a stop or a roll back, and its owner reads the operation that was requested.
pub(crate) fn last_outcome(row: &QueryResult, prefix: &str) -> Result<Option<LastOutcome>, DbErr> {
    let Some(at) = row.try_get::<Option<DateTime<Utc>>>(prefix, "at")? else { return Ok(None) };
    let (action, outcome): (String, String) = (row.try_get(prefix, "action")?, row.try_get(prefix, "outcome")?);
    let (requested, error): (Option<String>, Option<String>) =
        (row.try_get(prefix, "requested")?, row.try_get(prefix, "error")?);
    let failure = match outcome.as_str() {
        DONE => None,
        PREEMPTED => Some(Recorded::Known(Failure::Preempted)),
        _ => Some(Recorded::read(error.as_deref().unwrap_or_default())),
    };
    let kind = match Recorded::read(requested.as_deref().unwrap_or(&action)) {
        Recorded::Known(OperationKind::RollBack) => Recorded::Known(OperationKind::Create),
        Recorded::Known(OperationKind::UndoRestore) => Recorded::Known(OperationKind::Restore),
        kind => kind,
    };
    let operation = row.try_get::<Option<Uuid>>(prefix, "operation")?.map(OperationId::new);
    let detail: Option<Value> = row.try_get(prefix, "detail")?;
    // Steps of another form are not shown.
    let steps = detail.and_then(|mut detail| serde_json::from_value(detail.get_mut(STEPS)?.take()).ok());
    Ok(Some(LastOutcome { kind, at, failure, operation, steps: steps.unwrap_or_default() }))
}
