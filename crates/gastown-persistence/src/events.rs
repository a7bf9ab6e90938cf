//! `gastown_town_events`: who did what, when, with what outcome. Only ever added to.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{IdempotencyKey, KeyedRequest, OperationResult, StoreError};
use gastown_domain::{Operation, OperationId, Recorded, Rejection, TownId, UserId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, Set,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::calendar::truncated;
use crate::entity::gastown_town_events as events;
use crate::error::{Stop, store_error};

/// Who did what no user asked for.
pub(crate) const CONTROL_PLANE: &str = "control-plane";

/// The outcome of what was only taken on so far.
pub(crate) const ACCEPTED: &str = "accepted";

/// The outcome of what came to its goal.
pub(crate) const DONE: &str = "done";

/// The outcome of what gave way to a destroy.
pub(crate) const PREEMPTED: &str = "preempted";

/// Where the event of a keyed request keeps what was asked for.
const REQUEST: &str = "request";

/// Where the event of an operation that ended keeps whether its last sync worked.
const SYNCED: &str = "synced";

/// Something that happened to a town.
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
    /// Something that is no operation.
    pub(crate) fn of(town: TownId, actor: &'a str, action: &'a str, outcome: &'a str, at: DateTime<Utc>) -> Self {
        Self { town, operation: None, actor, action, outcome, error: None, detail: None, key: None, at }
    }

    /// An operation was taken on.
    pub(crate) fn accepted(operation: &'a Operation) -> Self {
        let (actor, action) = (operation.requested_by.as_str(), operation.kind.as_str());
        Self::of(operation.town, actor, action, ACCEPTED, operation.created_at).on(operation)
    }

    /// An operation ended. [`outcome_of`] reads it back. Whether its last sync worked is known nowhere else afterwards
    /// (FM-12).
    pub(crate) fn ended(operation: &'a Operation, outcome: &'a OperationResult, at: DateTime<Utc>) -> Self {
        let (word, error) = match outcome {
            Ok(()) => (DONE, None),
            Err(Rejection::Failed(failure)) => ("failed", Some(failure.as_str())),
            Err(Rejection::RolledBack(failure)) => ("rolled_back", Some(failure.as_str())),
            Err(Rejection::Preempted) => (PREEMPTED, None),
        };
        let detail = operation.progress.synced.map(|synced| json!({SYNCED: synced}));
        Self { outcome: word, error, at, detail, ..Self::accepted(operation) }
    }

    /// It was asked for by somebody else than the town's owner.
    pub(crate) fn by(self, actor: &'a str) -> Self {
        Self { actor, ..self }
    }

    /// It belongs to an operation.
    pub(crate) fn on(self, operation: &Operation) -> Self {
        self.of_operation(operation.id)
    }

    /// The same, where no more of the operation is known than its id.
    pub(crate) fn of_operation(self, operation: OperationId) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// There is more to say.
    pub(crate) fn detailed(self, detail: Value) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The request may be repeated: [`create_of_key`] finds it.
    pub(crate) fn keyed(self, request: Option<&'a KeyedRequest>) -> Self {
        let Some(request) = request else { return self };
        let detail = json!({REQUEST: request.fingerprint.as_str()});
        Self { key: Some(&request.key), ..self.detailed(detail) }
    }

    /// Writes it down.
    pub(crate) async fn record(self, tx: &impl ConnectionTrait) -> Result<(), Stop> {
        #[expect(clippy::disallowed_methods, reason = "nothing refers to an event by its id")]
        let id = Uuid::now_v7();
        let row = events::ActiveModel {
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
        };
        row.insert(tx).await.map(|_| ()).map_err(Stop::writing("gastown_town_events"))
    }
}

/// What a request of this key made.
pub(crate) struct KeyedCreate {
    pub(crate) town: TownId,
    pub(crate) operation: OperationId,
    /// What it asked for, where that was written down.
    pub(crate) fingerprint: Option<String>,
}

/// What the actor's request of this key made.
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
    Ok(found.and_then(|event| {
        let operation = OperationId::new(event.operation_id?);
        let fingerprint = event.detail.as_ref().and_then(|detail| detail.get(REQUEST)?.as_str()).map(ToOwned::to_owned);
        Some(KeyedCreate { town: TownId::new(event.town_id), operation, fingerprint })
    }))
}

/// How an operation ended; `None` where no end is recorded.
pub(crate) async fn outcome_of(
    db: &impl ConnectionTrait,
    operation: OperationId,
) -> Result<Option<OperationResult>, StoreError> {
    let ended = events::Entity::find()
        .filter(events::Column::OperationId.eq(operation.as_uuid()))
        .filter(events::Column::Outcome.is_in([DONE, "failed", "rolled_back", PREEMPTED]))
        .one(db)
        .await
        .map_err(store_error)?;
    let Some(event) = ended else { return Ok(None) };
    let failure = || Recorded::read(event.error.as_deref().unwrap_or_default());
    Ok(Some(match event.outcome.as_str() {
        DONE => Ok(()),
        "failed" => Err(Rejection::Failed(failure())),
        "rolled_back" => Err(Rejection::RolledBack(failure())),
        _ => Err(Rejection::Preempted),
    }))
}
