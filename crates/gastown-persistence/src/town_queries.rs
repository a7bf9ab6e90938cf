//! Queries of towns that several ports share.

use gastown_domain::{TownId, UserId};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, Select};

use crate::entity::{gastown_operations as operations, gastown_towns as towns};

/// Selects the owner's live towns.
pub(crate) fn live_towns_of(owner: &UserId) -> Select<towns::Entity> {
    towns::Entity::find().filter(towns::Column::DestroyedAt.is_null()).filter(towns::Column::UserId.eq(owner.as_str()))
}

/// Selects the owner's live town with this id. Every call of a user starts with it.
pub(crate) fn live_town_of(owner: &UserId, town: TownId) -> Select<towns::Entity> {
    live_towns_of(owner).filter(towns::Column::Id.eq(town.as_uuid()))
}

/// Matches towns without an operation in flight.
pub(crate) fn is_idle() -> Expr {
    let in_flight = Query::select().column(operations::Column::TownId).from(operations::Entity).take();
    towns::Column::Id.not_in_subquery(in_flight)
}

/// Returns true if the town has an operation in flight.
///
/// The answer holds only while the caller locks the town's row, because every insert of an operation does so too.
pub(crate) async fn has_operation(db: &impl ConnectionTrait, town: TownId) -> Result<bool, DbErr> {
    operations::Entity::find_by_id(town.as_uuid()).one(db).await.map(|row| row.is_some())
}
