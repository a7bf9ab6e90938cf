//! Stranded towns: those that need an operation and have none.
//!
//! This service never leaves one. A row written by hand, a restored backup or an older version may.

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{OperationKind, Phase, Progress, Town, TownStatus};
use sea_orm::sea_query::{Expr, Order, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use crate::dialect::locked;
use crate::entity::gastown_towns::{self as towns, Column};
use crate::error::{TxError, store_error};
use crate::events::{CONTROL_PLANE, Event};
use crate::request;
use crate::row::each_readable;
use crate::town_queries::{has_operation, is_idle};

/// Returns stranded towns in random order, so that unreadable rows do not delay the others.
pub(crate) async fn list(db: &impl ConnectionTrait, limit: u32) -> Result<Vec<Town>, StoreError> {
    let rows = db.query_all(&query(limit)).await.map_err(store_error)?;
    Ok(each_readable::<towns::Entity, _, _>(&rows, towns::Model::into_town))
}

/// Selects stranded towns. Each of the two kinds has a partial index, so only candidates are read and sorted.
fn query(limit: u32) -> SelectStatement {
    let ids = |which| towns::Entity::find().select_only().column(Column::Id).filter(which).into_query();
    let mut candidates = ids(is_left_over());
    candidates.union(UnionType::All, ids(is_unfinished()));
    towns::Entity::find()
        .filter(Column::Id.in_subquery(candidates))
        .filter(is_idle())
        .order_by(Expr::cust("random()"), Order::Asc)
        .limit(u64::from(limit))
        .into_query()
}

/// Matches tombstones that still hold a resource id.
fn is_left_over() -> Condition {
    let holds_an_id = Condition::any().add(Column::FlyMachineId.is_not_null()).add(Column::FlyVolumeId.is_not_null());
    Condition::all().add(Column::DestroyedAt.is_not_null()).add(holds_an_id)
}

/// Matches live towns whose create has not succeeded.
fn is_unfinished() -> Condition {
    let provisioning = Column::Status.eq(TownStatus::Provisioning.as_str());
    Condition::all().add(Column::DestroyedAt.is_null()).add(provisioning)
}

/// Inserts an operation for a town that is stranded in the way that this kind of operation resolves.
pub(crate) async fn reinstate(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    progress: &Progress,
) -> Result<bool, TxError> {
    let (needs_it, phase) = match request.kind {
        OperationKind::Destroy => (is_left_over(), Phase::Settled),
        OperationKind::Create => (is_unfinished(), Phase::Begun),
        OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::RollBack
        | OperationKind::Restore
        | OperationKind::UndoRestore => return Ok(false),
    };
    let town = locked(towns::Entity::find_by_id(request.town.as_uuid()).filter(needs_it)).one(tx).await?;
    // Only the lock of the town's row prevents others from inserting an operation.
    if town.is_none() || has_operation(tx, request.town).await? {
        return Ok(false);
    }
    let progress = progress.clone().requested_by(CONTROL_PLANE, &request.requested_by);
    let operation = request::insert(tx, request, phase, &progress).await?;
    Event::accepted(&operation).record(tx).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::tests::plans;

    #[tokio::test]
    async fn stranded_towns_are_found_by_indexes() {
        for plan in plans(&query(10)).await {
            for index in ["gastown_towns_left_over_idx", "gastown_towns_status_idx"] {
                assert!(plan.contains(index), "{index}: {plan}");
            }
        }
    }
}
