//! Towns that nobody drives though somebody should. No path of ours leaves one; a row written by hand, a restored
//! backup or an older version may.

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{OperationKind, Phase, Progress, Town, TownStatus};
use sea_orm::sea_query::{Expr, Order, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use crate::dialect::locked;
use crate::entity::gastown_towns::{self as towns, Column};
use crate::error::{Stop, store_error};
use crate::events::{CONTROL_PLANE, Event};
use crate::request::{self, has_operation, idle};
use crate::row::each;

/// In no particular order, so that rows that cannot be read do not keep the others waiting.
pub(crate) async fn list(db: &impl ConnectionTrait, limit: u32) -> Result<Vec<Town>, StoreError> {
    let rows = db.query_all(&query(limit)).await.map_err(store_error)?;
    Ok(each::<towns::Entity, _, _>(&rows, towns::Model::into_town))
}

/// Each of the two ways to be stranded has a partial index of its own, so only towns that may be are read and shuffled.
fn query(limit: u32) -> SelectStatement {
    let ids = |which| towns::Entity::find().select_only().column(Column::Id).filter(which).into_query();
    let mut suspects = ids(is_left_over());
    suspects.union(UnionType::All, ids(is_unfinished()));
    towns::Entity::find()
        .filter(Column::Id.in_subquery(suspects))
        .filter(idle())
        .order_by(Expr::cust("random()"), Order::Asc)
        .limit(u64::from(limit))
        .into_query()
}

/// A tombstone that still holds an id of Fly's.
fn is_left_over() -> Condition {
    let holds_an_id = Condition::any().add(Column::FlyMachineId.is_not_null()).add(Column::FlyVolumeId.is_not_null());
    Condition::all().add(Column::DestroyedAt.is_not_null()).add(holds_an_id)
}

/// A living town whose create nobody goes on with.
fn is_unfinished() -> Condition {
    let provisioning = Column::Status.eq(TownStatus::Provisioning.as_str());
    Condition::all().add(Column::DestroyedAt.is_null()).add(provisioning)
}

/// Writes an operation for a town that is stranded in the way that this kind of operation puts right.
pub(crate) async fn reinstate(
    tx: &DatabaseTransaction,
    wish: &NewOperation,
    progress: &Progress,
) -> Result<bool, Stop> {
    let (needs_it, mark) = match wish.kind {
        OperationKind::Destroy => (is_left_over(), Phase::Settled),
        OperationKind::Create => (is_unfinished(), Phase::Begun),
        OperationKind::Start | OperationKind::Stop | OperationKind::RollBack => return Ok(false),
    };
    let town = locked(towns::Entity::find_by_id(wish.town.as_uuid()).filter(needs_it)).one(tx).await?;
    // Only with the town's row locked can nobody else write an operation for it.
    if town.is_none() || has_operation(tx, wish.town).await? {
        return Ok(false);
    }
    let operation = request::insert(tx, wish, mark, progress).await?;
    Event::accepted(&operation).by(CONTROL_PLANE).record(tx).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::tests::plans;

    #[tokio::test]
    async fn what_is_stranded_is_found_by_indexes() {
        for plan in plans(&query(10)).await {
            for index in ["gastown_towns_left_over_idx", "gastown_towns_status_idx"] {
                assert!(plan.contains(index), "{index}: {plan}");
            }
        }
    }
}
