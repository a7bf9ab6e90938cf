//! `gastown_town_events`: who did what, when, with what outcome. Only ever added to.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{IdempotencyKey, Outcome, StoreError};
use gastown_domain::{Operation, OperationId, Rejection, TownId, UserId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, Set,
};
use uuid::Uuid;

use crate::entity::gastown_town_events as events;
use crate::error::{Stop, store_error};
use crate::row::truncated;

/// The outcome of what was only taken on so far.
const ACCEPTED: &str = "accepted";

/// Something that happened to a town.
pub(crate) struct Event<'a> {
    pub(crate) town: TownId,
    pub(crate) operation: Option<OperationId>,
    pub(crate) actor: &'a UserId,
    pub(crate) action: &'a str,
    pub(crate) outcome: &'a str,
    pub(crate) error: Option<&'a str>,
    pub(crate) detail: Option<serde_json::Value>,
    pub(crate) key: Option<&'a IdempotencyKey>,
    pub(crate) at: DateTime<Utc>,
}

impl<'a> Event<'a> {
    /// An operation was taken on.
    pub(crate) fn accepted(operation: &'a Operation, key: Option<&'a IdempotencyKey>) -> Self {
        Self {
            town: operation.town,
            operation: Some(operation.id),
            actor: &operation.requested_by,
            action: operation.kind.as_str(),
            outcome: ACCEPTED,
            error: None,
            detail: None,
            key,
            at: operation.created_at,
        }
    }

    /// An operation ended. [`outcome_of`] reads it back.
    pub(crate) fn ended(operation: &'a Operation, outcome: Outcome, at: DateTime<Utc>) -> Self {
        let (word, error) = match outcome {
            Ok(()) => ("done", None),
            Err(Rejection::Failed(failure)) => ("failed", Some(failure.code())),
            Err(Rejection::RolledBack(failure)) => ("rolled_back", Some(failure.code())),
            Err(Rejection::Preempted) => ("preempted", None),
        };
        Self { outcome: word, error, at, ..Self::accepted(operation, None) }
    }

    /// Writes it down.
    pub(crate) async fn record(self, tx: &impl ConnectionTrait) -> Result<(), Stop> {
        #[expect(clippy::disallowed_methods, reason = "nothing refers to an event by its id")]
        let id = Uuid::now_v7();
        let row = events::ActiveModel {
            id: Set(id),
            town_id: Set(self.town.as_uuid()),
            operation_id: Set(self.operation.map(OperationId::as_uuid)),
            actor: Set(self.actor.as_str().to_owned()),
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

/// The town that the actor's request of this key was for, and its create.
pub(crate) async fn create_of_key(
    db: &impl ConnectionTrait,
    actor: &UserId,
    key: &IdempotencyKey,
) -> Result<Option<(TownId, OperationId)>, DbErr> {
    let found = events::Entity::find()
        .filter(events::Column::Actor.eq(actor.as_str()))
        .filter(events::Column::IdempotencyKey.eq(key.as_str()))
        .one(db)
        .await?;
    Ok(found.and_then(|event| Some((TownId::new(event.town_id), OperationId::new(event.operation_id?)))))
}

/// How an operation ended; `None` where no end is recorded.
pub(crate) async fn outcome_of(
    db: &impl ConnectionTrait,
    operation: OperationId,
) -> Result<Option<Outcome>, StoreError> {
    let ended = events::Entity::find()
        .filter(events::Column::OperationId.eq(operation.as_uuid()))
        .filter(events::Column::Outcome.is_in(["done", "failed", "rolled_back", "preempted"]))
        .one(db)
        .await
        .map_err(store_error)?;
    let Some(event) = ended else { return Ok(None) };
    let corrupt = |column, cause| StoreError::CorruptRow {
        table: "gastown_town_events",
        column,
        id: event.id.to_string(),
        cause,
    };
    let failure =
        || event.error.as_deref().unwrap_or_default().parse().map_err(|cause| corrupt("error", Box::new(cause)));
    Ok(Some(match event.outcome.as_str() {
        "done" => Ok(()),
        "failed" => Err(Rejection::Failed(failure()?)),
        "rolled_back" => Err(Rejection::RolledBack(failure()?)),
        _ => Err(Rejection::Preempted),
    }))
}
