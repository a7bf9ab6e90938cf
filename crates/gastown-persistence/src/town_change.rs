use chrono::{DateTime, Utc};
use gastown_domain::ports::{StoreError, TownChange};
use gastown_domain::{Fence, MachineId, Region, Town, TownId, TownStatus, VolumeId};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, Set, UpdateMany,
};
use serde_json::{Map, Value, json};

use crate::calendar::truncated;
use crate::dialect::locked;
use crate::entity::gastown_towns::{self as towns, Column};
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

/// Applies a change to a locked row, and returns the town after it. A town that is soft-deleted again keeps its first time.
pub(crate) async fn apply(tx: &DatabaseTransaction, row: towns::Model, change: &TownChange) -> Result<Town, TxError> {
    let before = row.clone().into_town()?;
    if *change == TownChange::default() {
        return Ok(before);
    }
    let mut after = row.into_active_model();
    set_resources(&mut after, change);
    set_times(&mut after, &before, change);
    if let Some(status) = wanted_status(change) {
        if !before.status.may_become(status) {
            return Err(unwritable(ForbiddenStatus { from: before.status, to: status }).into());
        }
        after.status = Set(status.as_str().to_owned());
    }
    if !after.is_changed() {
        return Ok(before);
    }
    Ok(after.update(tx).await.map_err(TxError::writing("gastown_towns"))?.into_town()?)
}

fn set_resources(row: &mut towns::ActiveModel, change: &TownChange) {
    if let Some(machine) = &change.machine {
        row.fly_machine_id = Set(machine.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(volume) = &change.volume {
        row.fly_volume_id = Set(volume.as_ref().map(|id| id.as_str().to_owned()));
    }
    if let Some(region) = &change.region {
        row.fly_region = Set(region.as_ref().map(|region| region.as_str().to_owned()));
    }
}

fn set_times(row: &mut towns::ActiveModel, before: &Town, change: &TownChange) {
    if let Some(at) = change.synced_at {
        let latest = before.last_r2_sync_at.map_or(at, |known| Ord::max(known, at));
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

/// Applies a change with one statement and no lock before it. The change gives a row its ids, its region, its next status or
/// the time of a sync.
///
/// Returns the row after it, or `None` if the change does more, or contradicts the row. Then nothing was written.
pub(crate) async fn adopt(
    tx: &DatabaseTransaction,
    town: TownId,
    change: &TownChange,
) -> Result<Option<Town>, TxError> {
    let Some(update) = adoption(town, change) else { return Ok(None) };
    let row = update.exec_with_returning(tx).await?.into_iter().next();
    Ok(row.map(towns::Model::into_town).transpose()?)
}

/// Returns the statement of [`adopt`]. It matches no row that would lose an id or may not take the status.
fn adoption(town: TownId, change: &TownChange) -> Option<UpdateMany<towns::Entity>> {
    let TownChange { machine, volume, region, status, synced_at, soft_deleted_at: None, drift: None } = change else {
        return None;
    };
    let mut update = towns::Entity::update_many().filter(Column::Id.eq(town.as_uuid()));
    let machine = machine.as_ref().map(|id| id.as_ref().map(MachineId::as_str));
    let volume = volume.as_ref().map(|id| id.as_ref().map(VolumeId::as_str));
    for (column, id) in [(Column::FlyMachineId, machine), (Column::FlyVolumeId, volume)] {
        if let Some(id) = id {
            let is_new = Condition::any().add(column.is_null()).add(column.eq(id?));
            update = update.col_expr(column, Expr::value(id)).filter(is_new);
        }
    }
    if let Some(region) = region {
        update = update.col_expr(Column::FlyRegion, Expr::value(region.as_ref().map(Region::as_str)));
    }
    if let Some(status) = status {
        let before = TownStatus::ALL.into_iter().filter(|before| before.may_become(*status));
        update = update
            .col_expr(Column::Status, Expr::value(status.as_str()))
            .filter(Column::Status.is_in(before.map(TownStatus::as_str)));
    }
    if let Some(at) = synced_at.map(truncated) {
        let last = || Expr::col(Column::LastR2SyncAt);
        let latest = CaseStatement::new().case(ExprTrait::gt(last(), at), last()).finally(Expr::value(at));
        update = update.col_expr(Column::LastR2SyncAt, latest.into());
    }
    Some(update)
}

/// The resource ids that a row lost.
#[derive(Debug, Default)]
pub(crate) struct LostIds(Option<Value>);

impl LostIds {
    /// Returns the event that keeps the ids in the town's history.
    pub(crate) fn events<'a>(self, fence: Fence, now: DateTime<Utc>) -> impl Iterator<Item = Event<'a>> {
        let event = Event::of(fence.town, CONTROL_PLANE, IDS, "changed", now).of_operation(fence.operation);
        self.0.map(|lost| event.detailed(lost)).into_iter()
    }
}

/// Applies a change by the holder of a claim to a locked row. Returns the town after it, and the ids that it loses.
pub(crate) async fn by_holder(
    tx: &DatabaseTransaction,
    row: towns::Model,
    change: &TownChange,
) -> Result<(Town, LostIds), TxError> {
    let lost = LostIds(lost_ids(&row, change));
    Ok((apply(tx, row, change).await?, lost))
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
