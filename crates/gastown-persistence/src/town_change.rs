use chrono::{DateTime, Utc};
use gastown_domain::ports::{StoreError, TownChange};
use gastown_domain::{Fence, MachineId, TownId, TownStatus, VolumeId};
use sea_orm::{ActiveModelTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, Set};
use serde_json::{Map, Value, json};

use crate::calendar::truncated;
use crate::dialect::locked;
use crate::entity::gastown_towns as towns;
use crate::error::{Stop, unwritable};
use crate::events::{CONTROL_PLANE, Event};

/// The event that an id of Fly's gave way in a town's row to another one or to none.
pub(crate) const IDS: &str = "fly_ids";

/// A change that the table of statuses does not have.
#[derive(Debug, thiserror::Error)]
#[error("a town that is {from} does not become {to}")]
struct ForbiddenStatus {
    from: TownStatus,
    to: TownStatus,
}

/// Writes a change to a row that is locked. Hiding a town twice keeps the first time.
pub(crate) async fn apply(tx: &DatabaseTransaction, row: towns::Model, change: &TownChange) -> Result<(), Stop> {
    if *change == TownChange::default() {
        return Ok(());
    }
    let before = row.clone().into_town()?;
    let mut after = row.into_active_model();
    if let Some(machine) = &change.machine {
        after.fly_machine_id = Set(machine.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(volume) = &change.volume {
        after.fly_volume_id = Set(volume.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(region) = &change.region {
        after.fly_region = Set(Some(region.as_str().to_owned()));
    }
    if let Some(at) = change.synced_at {
        let latest = before.last_r2_sync_at.map_or(at, |known| known.max(at));
        after.last_r2_sync_at = Set(Some(truncated(latest)));
    }
    if let Some(at) = change.soft_deleted_at {
        after.sandbox_id = Set(before.sandbox_id.tombstone(before.id).as_str().to_owned());
        after.destroyed_at = Set(Some(before.destroyed_at.unwrap_or_else(|| truncated(at))));
    }
    if let Some(status) = wanted_status(change) {
        if !before.status.may_become(status) {
            return Err(unwritable(ForbiddenStatus { from: before.status, to: status }).into());
        }
        after.status = Set(status.as_str().to_owned());
    }
    if after.is_changed() {
        after.update(tx).await.map_err(Stop::writing("gastown_towns"))?;
    }
    Ok(())
}

/// Locks the town's row against other writers. Where a transaction locks both, the town comes before its operation.
pub(crate) async fn lock(tx: &DatabaseTransaction, town: TownId) -> Result<towns::Model, Stop> {
    let row = locked(towns::Entity::find_by_id(town.as_uuid())).one(tx).await?;
    Ok(row.ok_or(StoreError::TownNotFound)?)
}

/// Writes a driver's change to a row that is locked, and, where it takes an id of Fly's from the row, which one.
pub(crate) async fn by_driver(
    tx: &DatabaseTransaction,
    fence: Fence,
    row: towns::Model,
    change: &TownChange,
    now: DateTime<Utc>,
) -> Result<(), Stop> {
    if let Some(lost) = lost_ids(&row, change) {
        let event = Event::of(fence.town, CONTROL_PLANE, IDS, "changed", now).of_operation(fence.operation);
        event.detailed(lost).record(tx).await?;
    }
    apply(tx, row, change).await
}

/// The ids of Fly's that a row names and a change takes from it, with what comes in their place.
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

/// What a change does to a row, for the town's history: no id of Fly's is forgotten there (FM-22).
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
