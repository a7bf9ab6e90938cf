//! Lists for operators: the towns of all users, and the events of all towns.

use std::collections::HashMap;

use gastown_domain::ports::{
    AuditedEvent, EventFilter, HeldOperation, ListPosition, ListedHealth, ListedTown, Readable, StoreError, TownFilter,
    TownHealth,
};
use gastown_domain::{HealthState, TownId};
use sea_orm::sea_query::SelectStatement;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, QueryTrait as _,
};
use uuid::Uuid;

use crate::Database;
use crate::entity::{
    gastown_operations as operations, gastown_town_events as events, gastown_town_health as health,
    gastown_towns as towns,
};
use crate::error::store_error;
use crate::events::{FAILED, ROLLED_BACK};
use crate::operator::{held, unreadable, with_owner};
use crate::row::decoded;

/// The result columns with the owner and the name of an event's town.
const OWNER: &str = "town_owner";
const NAME: &str = "event_town";

impl Database {
    pub(crate) async fn listed_towns(
        &self,
        filter: &TownFilter,
        limit: u32,
    ) -> Result<Vec<Readable<ListedTown>>, StoreError> {
        let rows = self.read(self.connection.query_all(&matching_towns(filter, limit))).await?;
        let ids = rows.iter().map(|row| row.try_get("A_", "id")).collect::<Result<Vec<Uuid>, DbErr>>();
        let ids = ids.map_err(store_error)?;
        let mut operations = self.operations_of(&ids).await?;
        let listed = rows.iter().zip(ids).map(|(row, id)| {
            let town = TownId::new(id);
            listed(row, operations.remove(&id)).map_err(unreadable(town))
        });
        Ok(listed.collect())
    }

    /// Returns the operations in flight of these towns.
    async fn operations_of(&self, towns: &[Uuid]) -> Result<HashMap<Uuid, Readable<HeldOperation>>, StoreError> {
        let query = with_owner().filter(operations::Column::TownId.is_in(towns.iter().copied())).into_query();
        let rows = self.read(self.connection.query_all(&query)).await?;
        let operation = |row: &QueryResult| {
            let town: Uuid = row.try_get("", "town_id")?;
            Ok((town, held(row).map_err(unreadable(TownId::new(town)))))
        };
        rows.iter().map(operation).collect::<Result<_, DbErr>>().map_err(store_error)
    }

    pub(crate) async fn audited_events(
        &self,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<AuditedEvent>, StoreError> {
        let rows = self.read(self.connection.query_all(&matching_events(filter, limit))).await?;
        rows.iter().map(audited).collect()
    }
}

fn matching_towns(filter: &TownFilter, limit: u32) -> SelectStatement {
    let status = match filter.status {
        Some(status) => towns::Column::Status.eq(status.as_str()),
        None => towns::Column::DestroyedAt.is_null(),
    };
    let matches = Condition::all()
        .add(status)
        .add_option(filter.owner.as_ref().map(|owner| towns::Column::UserId.eq(owner.as_str())))
        .add_option(filter.name.as_ref().map(|name| towns::Column::TownName.eq(name.as_str())))
        .add_option(filter.health.map(has_health))
        .add_option(filter.image.as_ref().map(|image| health::Column::Image.eq(image.as_str())))
        .add_option(filter.after.as_ref().map(is_after));
    towns::Entity::find()
        .find_also_related(health::Entity)
        .filter(matches)
        .order_by_asc(towns::Column::UserId)
        .order_by_asc(towns::Column::TownName)
        .order_by_asc(towns::Column::Id)
        .limit(u64::from(limit))
        .into_query()
}

/// Compares as the list is ordered. Both use the collation of the columns.
fn is_after(position: &ListPosition) -> Condition {
    let same_owner = towns::Column::UserId.eq(position.owner.as_str());
    let same_name = towns::Column::TownName.eq(position.name.as_str());
    let later_name = Condition::all().add(same_owner.clone()).add(towns::Column::TownName.gt(position.name.as_str()));
    let later_id = Condition::all().add(same_owner).add(same_name).add(towns::Column::Id.gt(position.town.as_uuid()));
    Condition::any().add(towns::Column::UserId.gt(position.owner.as_str())).add(later_name).add(later_id)
}

fn has_health(listed: ListedHealth) -> Condition {
    let is = |state: HealthState| health::Column::State.eq(state.as_str());
    match listed {
        ListedHealth::Ok => {
            let fails = [HealthState::Unhealthy, HealthState::Error].map(HealthState::as_str);
            let is_well =
                Condition::any().add(health::Column::State.is_null()).add(health::Column::State.is_not_in(fails));
            Condition::all().add(health::Column::Drift.is_null()).add(is_well)
        }
        ListedHealth::Drift => Condition::all().add(health::Column::Drift.is_not_null()),
        ListedHealth::Unhealthy => Condition::all().add(is(HealthState::Unhealthy)),
        ListedHealth::Error => Condition::all().add(is(HealthState::Error)),
    }
}

fn listed(row: &QueryResult, operation: Option<Readable<HeldOperation>>) -> Result<ListedTown, StoreError> {
    let town = decoded::<towns::Entity, towns::Model>(row, "A_")?.into_town()?;
    let health = decoded::<health::Entity, Option<health::Model>>(row, "B_")
        .and_then(|health| health.map_or_else(|| Ok(TownHealth::default()), health::Model::into_health))
        .map_err(unreadable(town.id));
    Ok(ListedTown { town, health, operation })
}

fn matching_events(filter: &EventFilter, limit: u32) -> SelectStatement {
    let failed = filter.failed.then(|| {
        let failed = events::Column::Outcome.is_in([FAILED, ROLLED_BACK]);
        Condition::all().add(events::Column::OperationId.is_not_null()).add(failed)
    });
    let matches = Condition::all()
        .add_option(filter.town.map(|town| events::Column::TownId.eq(town.as_uuid())))
        .add_option(filter.owner.as_ref().map(|owner| towns::Column::UserId.eq(owner.as_str())))
        .add_option(filter.actor.as_ref().map(|actor| events::Column::Actor.eq(actor.as_str())))
        .add_option(filter.action.as_ref().map(|action| events::Column::Action.eq(action.as_str())))
        .add_option(filter.since.map(|since| events::Column::At.gte(since)))
        .add_option(filter.until.map(|until| events::Column::At.lte(until)))
        .add_option(failed);
    events::Entity::find()
        .column_as(towns::Column::UserId, OWNER)
        .column_as(towns::Column::TownName, NAME)
        .inner_join(towns::Entity)
        .filter(matches)
        .order_by_desc(events::Column::At)
        .order_by_desc(events::Column::Id)
        .limit(u64::from(limit))
        .into_query()
}

fn audited(row: &QueryResult) -> Result<AuditedEvent, StoreError> {
    let event = decoded::<events::Entity, events::Model>(row, "")?;
    Ok(AuditedEvent {
        town: TownId::new(event.town_id),
        owner: row.try_get("", OWNER).map_err(store_error)?,
        name: row.try_get("", NAME).map_err(store_error)?,
        event: event.into_event(),
    })
}
