use chrono::{DateTime, Utc};
use gastown_domain::ports::{StoreError, TownChange};
use gastown_domain::{Fence, MachineId, Town, TownId, TownStatus, VolumeId};
use sea_orm::{ActiveModelTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, Set};
use serde_json::{Map, Value, json};

use crate::calendar::truncated;
use crate::dialect::locked;
use crate::entity::gastown_towns as towns;
use crate::error::{TxError, unwritable};
use crate::events::{CONTROL_PLANE, Event};

/// The action of the event that a row's resource id was replaced or removed.
pub(crate) const IDS: &str = "fly_ids";

/// A status transition that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("town status cannot change from {from} to {to}")]
struct ForbiddenStatus {
    from: TownStatus,
    to: TownStatus,
}

/// Applies a change to a locked row. A town that is soft-deleted again keeps its first time.
pub(crate) async fn apply(tx: &DatabaseTransaction, row: towns::Model, change: &TownChange) -> Result<(), TxError> {
    if *change == TownChange::default() {
        return Ok(());
    }
    let before = row.clone().into_town()?;
    let mut after = row.into_active_model();
    set_resources(&mut after, change);
    set_times(&mut after, &before, change);
    if let Some(status) = wanted_status(change) {
        if !before.status.may_become(status) {
            return Err(unwritable(ForbiddenStatus { from: before.status, to: status }).into());
        }
        after.status = Set(status.as_str().to_owned());
    }
    if after.is_changed() {
        after.update(tx).await.map_err(TxError::writing("gastown_towns"))?;
    }
    Ok(())
}

fn set_resources(row: &mut towns::ActiveModel, change: &TownChange) {
    if let Some(machine) = &change.machine {
        row.fly_machine_id = Set(machine.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(volume) = &change.volume {
        row.fly_volume_id = Set(volume.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(region) = &change.region {
        row.fly_region = Set(Some(region.as_str().to_owned()));
    }
}

fn set_times(row: &mut towns::ActiveModel, before: &Town, change: &TownChange) {
    if let Some(at) = change.synced_at {
        let latest = before.last_r2_sync_at.map_or(at, |known| known.max(at));
        row.last_r2_sync_at = Set(Some(truncated(latest)));
    }
    if let Some(at) = change.soft_deleted_at {
        row.sandbox_id = Set(before.sandbox_id.tombstone(before.id).as_str().to_owned());
        row.destroyed_at = Set(Some(before.destroyed_at.unwrap_or_else(|| truncated(at))));
    }
}

/// Locks the town's row against other writers. A transaction that locks both locks the town before its operation.
pub(crate) async fn lock(tx: &DatabaseTransaction, town: TownId) -> Result<towns::Model, TxError> {
    let row = locked(towns::Entity::find_by_id(town.as_uuid())).one(tx).await?;
    Ok(row.ok_or(StoreError::TownNotFound)?)
}

/// Applies a change by the holder of a claim to a locked row. Records an event if the row loses a resource id.
pub(crate) async fn by_holder(
    tx: &DatabaseTransaction,
    fence: Fence,
    row: towns::Model,
    change: &TownChange,
    now: DateTime<Utc>,
) -> Result<(), TxError> {
    if let Some(lost) = lost_ids(&row, change) {
        let event = Event::of(fence.town, CONTROL_PLANE, IDS, "changed", now).of_operation(fence.operation);
        event.detailed(lost).record(tx).await?;
    }
    apply(tx, row, change).await
}

/// Returns the resource ids that the row loses by this change, with their replacements.
pub(crate) fn lost_ids(row: &towns::Model, change: &TownChange) -> Option<Value> {
    let machine = change.machine.as_ref().map(|machine| machine.as_ref().map(MachineId::as_str));
    let volume = change.volume.as_ref().map(|volume| volume.as_ref().map(VolumeId::as_str));
    let columns =
        [("machine", row.fly_machine_id.as_deref(), machine), ("volume", row.fly_volume_id.as_deref(), volume)];
    let lost = columns.into_iter().filter_map(|(name, from, to)| {
        let to = to?;
        (from.is_some() && from != to).then(|| (name.to_owned(), json!({"from": from, "to": to})))
    });
    let lost: Map<String, Value> = lost.collect();
    (!lost.is_empty()).then_some(Value::Object(lost))
}

/// Describes a change of a row for the town's history, which keeps every resource id (FM-22).
pub(crate) fn described(row: &towns::Model, change: &TownChange) -> Value {
    let mut columns = Map::new();
    if let Some(machine) = &change.machine {
        columns.insert("machine".to_owned(), json!({"from": row.fly_machine_id, "to": machine}));
    }
    if let Some(volume) = &change.volume {
        columns.insert("volume".to_owned(), json!({"from": row.fly_volume_id, "to": volume}));
    }
    if let Some(region) = &change.region {
        columns.insert("region".to_owned(), json!({"from": row.fly_region, "to": region}));
    }
    if let Some(status) = wanted_status(change) {
        columns.insert("status".to_owned(), json!({"from": row.status, "to": status}));
    }
    Value::Object(columns)
}

fn wanted_status(change: &TownChange) -> Option<TownStatus> {
    if change.soft_deleted_at.is_some() { Some(TownStatus::Destroyed) } else { change.status }
}
