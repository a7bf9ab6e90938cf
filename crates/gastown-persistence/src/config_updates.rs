//! Changes of a town's configuration, each in one transaction that compares it first.

use gastown_domain::ports::{ConfigUpdated, TownState, UpdateTown};
use gastown_domain::{EventAction, Recorded, RecordedOperation, UserId};
use sea_orm::{ActiveModelTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, Set};
use serde_json::{Value, json};

use crate::dialect::{self, locked};
use crate::entity::gastown_operations as operations;
use crate::error::TxError;
use crate::events::{DONE, Event};
use crate::idle;
use crate::town_queries::live_town_of;

/// Changes the configuration of the owner's live town, unless it has another version than expected.
pub(crate) async fn update(
    tx: &DatabaseTransaction,
    owner: &UserId,
    request: &UpdateTown,
) -> Result<ConfigUpdated, TxError> {
    // The lock excludes other changes, and the acceptance of an operation.
    let Some(row) = locked(live_town_of(owner, request.town)).one(tx).await? else {
        return Ok(ConfigUpdated::NotFound);
    };
    let operation = operations::Entity::find_by_id(request.town.as_uuid()).one(tx).await?;
    let operation = operation.map(operations::Model::into_operation).transpose()?;
    if let Some(removal) = operation.as_ref().filter(|operation| may_remove(operation)) {
        return Ok(ConfigUpdated::Busy(removal.kind.clone()));
    }
    let town = row.clone().into_town()?;
    let stored = row.config.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    let (is_expected, after) =
        (town.config.version() == request.expected, request.config.applied_to(&stored, &town.config));
    match after {
        Ok(after) if after == stored => Ok(ConfigUpdated::Done(Box::new(TownState { town, operation }))),
        _ if !is_expected => Ok(ConfigUpdated::Changed),
        Err(refusal) => Ok(ConfigUpdated::Refused(refusal)),
        Ok(after) => {
            let before = town.config.version();
            let mut row = row.into_active_model();
            row.config = Set(Some(Value::Object(after)));
            let setting = town.config.idle_stop_minutes;
            let town = row.update(tx).await.map_err(TxError::writing("gastown_towns"))?.into_town()?;
            if town.config.idle_stop_minutes != setting {
                idle::set(tx, town.id, town.config.idle_stop_minutes).await?;
            }
            let detail = json!({"from": before.as_str(), "to": town.config.version().as_str()});
            let event =
                Event::of(town.id, owner.as_str(), EventAction::UpdateConfig.as_str(), DONE, dialect::now(tx).await?);
            event.detailed(detail).record(tx).await?;
            Ok(ConfigUpdated::Done(Box::new(TownState { town, operation })))
        }
    }
}

/// Returns true if the operation removes the town, or is of a newer version and may do so.
fn may_remove(operation: &RecordedOperation) -> bool {
    match &operation.kind {
        Recorded::Known(kind) => kind.ends_town(),
        Recorded::Newer(_) => true,
    }
}
