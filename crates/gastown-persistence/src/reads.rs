//! The reads of callers. Each is one statement, which authorizes its caller and reads everything that the caller sees.
//!
//! Their texts are built at connecting. A statement begins with the caller's user, so no row means that there is no such user.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Caller, CallersTown, LastOutcome, StoreError, TownReport, TownState, TownSummary};
use gastown_domain::{Recorded, RecordedOperation, Town, TownId};
use sea_orm::{DbBackend, EntityTrait, FromQueryResult, IdenStatic as _, Iterable as _, JsonValue, QueryResult};
use secrecy::SecretString;
use uuid::Uuid;

use crate::Database;
use crate::blocked_column::BlockedColumn;
use crate::entity::{
    gastown_operations as operations, gastown_rigs as rigs, gastown_town_health as health, gastown_towns as towns,
};
use crate::error::store_error;
use crate::read_connections::Parameters;
use crate::row::{decoded, readable};
use crate::{events, idle, town_events};

/// The column with the pepper of the caller's user.
pub(crate) const PEPPER: &str = "pepper";
/// The column that is 1 for a blocked user.
pub(crate) const BLOCKED: &str = "blocked";
/// The column that is 1 if a recorded use of the town stands for this read.
const USED: &str = "used";
/// The prefixes of the columns of each table.
const TOWN: &str = "t_";
const RIG: &str = "r_";
const HEALTH: &str = "h_";
const OPERATION: &str = "o_";
/// The prefix of the columns of the last end.
const END: &str = "e_";

/// The join of the caller's town, live or being removed.
pub(crate) const TOWN_OF_CALLER: &str = "LEFT JOIN gastown_towns t ON t.id = $2 AND t.user_id = u.id \
     AND (t.destroyed_at IS NULL OR EXISTS (SELECT 1 FROM gastown_operations x WHERE x.town_id = t.id))";

/// The statements of the reads.
#[derive(Debug)]
pub(crate) struct ReadStatements {
    /// Reads a town with its health, its operation and its rigs. A tombstone is read while its removal is in flight. There
    /// is one row for each rig, but at least one.
    report: Arc<str>,
    /// Reads a town as `report` does, without rigs, and of the health only its idle stop. There is one row.
    town: Arc<str>,
    /// Reads the live towns of a user with their operations and the state of their health. There is one row for each town, but at least one.
    list: Arc<str>,
    /// Reads the last events of a town, and those before an event. There is one row for each event, but at least one.
    pub(crate) events: Arc<str>,
    pub(crate) events_before: Arc<str>,
}

impl ReadStatements {
    /// Builds the statements. Without a column, no user is blocked.
    pub(crate) fn new(backend: DbBackend, blocked: Option<&BlockedColumn>) -> Self {
        let (events, events_before) = town_events::statements();
        let used = idle::use_is_recorded(backend, "h");
        Self {
            report: report(blocked, &used).into(),
            town: town(blocked, &used).into(),
            list: list().into(),
            events: events.into(),
            events_before: events_before.into(),
        }
    }
}

/// Builds the statement of a report. The configuration may be large, so only the row of the first rig has it.
fn report(blocked: Option<&BlockedColumn>, used: &str) -> String {
    let blocked = is_blocked_sql(blocked);
    let town = columns::<towns::Entity>(TOWN, &["config"]);
    let health = columns::<health::Entity>(HEALTH, &["last_report"]);
    let operation = columns::<operations::Entity>(OPERATION, &["owner", "lease_expires_at"]);
    let rig = columns::<rigs::Entity>(RIG, &["config"]);
    let (end, last_end) = (events::end_columns(END), events::last_end("t.id", "e"));
    format!(
        "SELECT u.api_token_pepper AS {PEPPER}, {blocked} AS {BLOCKED}, {used} AS {USED}, {town}, {health}, {operation}, {end}, \
         {rig}, NULL AS {RIG}config, CASE WHEN r.id IS NULL OR NOT EXISTS (SELECT 1 FROM gastown_rigs f WHERE f.town_id = r.town_id \
         AND f.rig_name < r.rig_name) THEN t.config END AS {TOWN}config \
         FROM kilocode_users u \
         {TOWN_OF_CALLER} \
         LEFT JOIN gastown_town_health h ON h.town_id = t.id \
         LEFT JOIN gastown_operations o ON o.town_id = t.id \
         {last_end} \
         LEFT JOIN gastown_rigs r ON r.town_id = t.id \
         WHERE u.id = $1"
    )
}

fn town(blocked: Option<&BlockedColumn>, used: &str) -> String {
    let blocked = is_blocked_sql(blocked);
    let town = columns::<towns::Entity>(TOWN, &[]);
    let operation = columns::<operations::Entity>(OPERATION, &["owner", "lease_expires_at"]);
    format!(
        "SELECT u.api_token_pepper AS {PEPPER}, {blocked} AS {BLOCKED}, {used} AS {USED}, {town}, {operation}, \
         h.idle_stopped_at AS {HEALTH}idle_stopped_at FROM kilocode_users u \
         {TOWN_OF_CALLER} \
         LEFT JOIN gastown_town_health h ON h.town_id = t.id \
         LEFT JOIN gastown_operations o ON o.town_id = t.id \
         WHERE u.id = $1"
    )
}

fn is_blocked_sql(blocked: Option<&BlockedColumn>) -> String {
    blocked.map_or_else(|| "0".to_owned(), |column| column.sql("u"))
}

fn list() -> String {
    let town = columns::<towns::Entity>(TOWN, &[]);
    let operation = columns::<operations::Entity>(OPERATION, &["owner", "lease_expires_at"]);
    format!(
        "SELECT u.api_token_pepper AS {PEPPER}, {town}, {operation}, h.state AS {HEALTH}state, \
         h.state_since AS {HEALTH}state_since, h.idle_stopped_at AS {HEALTH}idle_stopped_at FROM kilocode_users u \
         LEFT JOIN gastown_towns t ON t.user_id = u.id AND t.destroyed_at IS NULL \
         LEFT JOIN gastown_town_health h ON h.town_id = t.id \
         LEFT JOIN gastown_operations o ON o.town_id = t.id WHERE u.id = $1"
    )
}

/// Returns the columns of a table, each with the prefix, except some. The alias of the table is the prefix without `_`.
fn columns<E: EntityTrait>(prefix: &str, except: &[&str]) -> String {
    let table = prefix.trim_end_matches('_');
    let names = E::Column::iter().map(|column| column.as_str()).filter(|name| !except.contains(name));
    names.map(|name| format!("{table}.{name} AS {prefix}{name}")).collect::<Vec<_>>().join(", ")
}

impl Database {
    /// Returns the details of the caller's town, live or being removed.
    pub(crate) async fn report_of(&self, caller: &Caller, town: TownId) -> Result<Option<TownReport>, StoreError> {
        report_in(&self.read_for(caller, &self.statements.report, of_town(caller, town)).await?)
    }

    /// Returns the caller's town, live or being removed, with its operation.
    pub(crate) async fn town_of(&self, caller: &Caller, town: TownId) -> Result<Option<CallersTown>, StoreError> {
        let rows = self.read_for(caller, &self.statements.town, of_town(caller, town)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(state) = state_in(row)? else { return Ok(None) };
        let idle_stopped_at = row.try_get(HEALTH, "idle_stopped_at").map_err(store_error)?;
        let (owner_is_blocked, use_is_recorded) = (is_blocked(row)?, use_is_recorded(row)?);
        Ok(Some(CallersTown { state, owner_is_blocked, idle_stopped_at, use_is_recorded }))
    }

    /// Returns the caller's live towns, oldest first, each with its operation and its health in short.
    pub(crate) async fn towns_of(&self, caller: &Caller) -> Result<Vec<TownSummary>, StoreError> {
        let rows = self
            .read_for(
                caller,
                &self.statements.list,
                Parameters { user: caller.user().as_str(), ..Parameters::default() },
            )
            .await?;
        let mut towns = readable(rows.iter().filter_map(|row| summary_in(row).transpose()));
        towns.sort_by_key(|TownSummary { state, .. }| (state.town.created_at, state.town.id));
        Ok(towns)
    }

    /// Runs a statement that begins with the caller's user, and authorizes the caller.
    pub(crate) async fn read_for(
        &self,
        caller: &Caller,
        sql: &Arc<str>,
        values: Parameters<'_>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let rows = self.in_time(self.reads.fetch(sql, values)).await?;
        authorize(caller, rows.first())?;
        Ok(rows)
    }
}

/// Returns the parameters of a read of a caller's town.
fn of_town(caller: &Caller, town: TownId) -> Parameters<'_> {
    Parameters { user: caller.user().as_str(), town: Some(town.as_uuid()), ..Parameters::default() }
}

/// Compares the caller's pepper with that of its user.
fn authorize(caller: &Caller, user: Option<&QueryResult>) -> Result<(), StoreError> {
    let Some(user) = user else {
        return match caller {
            // The host application may create its users later. Until then they have no towns.
            Caller::Trusted(_) => Ok(()),
            Caller::Token(_) => Err(StoreError::Unauthorized),
        };
    };
    let pepper = user.try_get::<Option<String>>("", PEPPER).map_err(store_error)?.map(SecretString::from);
    if caller.is_authorized(pepper.as_ref()) { Ok(()) } else { Err(StoreError::Unauthorized) }
}

fn report_in(rows: &[QueryResult]) -> Result<Option<TownReport>, StoreError> {
    let row = match rows {
        [] => return Ok(None),
        [row] => row,
        [first, ..] => rows.iter().find(|row| has_config(row)).unwrap_or(first),
    };
    let Some(town) = town_in(row)? else { return Ok(None) };
    let rig_in = |row| joined::<rigs::Entity, _, _>(row, RIG, rigs::Model::into_rig);
    let mut rigs = readable(rows.iter().filter_map(|row| rig_in(row).transpose()));
    rigs.sort_by_key(|rig| (rig.created_at, rig.id));
    let health = joined::<health::Entity, _, _>(row, HEALTH, health::Model::into_health)?;
    let (operation, owner_is_blocked) = (operation_in(row)?, is_blocked(row)?);
    let (health, last_outcome) = (health.unwrap_or_default(), end_in(row)?);
    let use_is_recorded = use_is_recorded(row)?;
    Ok(Some(TownReport { town, rigs, health, operation, last_outcome, owner_is_blocked, use_is_recorded }))
}

/// Returns true for the row of a blocked user.
pub(crate) fn is_blocked(row: &QueryResult) -> Result<bool, StoreError> {
    Ok(row.try_get::<i32>("", BLOCKED).map_err(store_error)? == 1)
}

/// Returns true if a recorded use of the town stands for this read.
fn use_is_recorded(row: &QueryResult) -> Result<bool, StoreError> {
    Ok(row.try_get::<i32>("", USED).map_err(store_error)? == 1)
}

/// Returns true if the row has the town's configuration, readable or not.
fn has_config(row: &QueryResult) -> bool {
    !matches!(row.try_get::<Option<JsonValue>>(TOWN, "config"), Ok(None))
}

/// Returns the town of a row, with its operation. In a list, an operation that cannot be read hides its town, as an unreadable town does.
fn state_in(row: &QueryResult) -> Result<Option<TownState>, StoreError> {
    let Some(town) = town_in(row)? else { return Ok(None) };
    Ok(Some(TownState { town, operation: operation_in(row)? }))
}

/// Returns the town of a list. A health that cannot be read is one that is not known.
fn summary_in(row: &QueryResult) -> Result<Option<TownSummary>, StoreError> {
    let Some(state) = state_in(row)? else { return Ok(None) };
    let health = row.try_get::<Option<String>>(HEALTH, "state").ok().flatten();
    let health_since = row.try_get::<Option<DateTime<Utc>>>(HEALTH, "state_since").ok().flatten();
    let health = health.as_deref().map(Recorded::read).unwrap_or_default();
    let idle_stopped_at = row.try_get::<Option<DateTime<Utc>>>(HEALTH, "idle_stopped_at").ok().flatten();
    Ok(Some(TownSummary { state, health, health_since, idle_stopped_at }))
}

fn operation_in(row: &QueryResult) -> Result<Option<RecordedOperation>, StoreError> {
    joined::<operations::Entity, _, _>(row, OPERATION, operations::Model::into_operation)
}

/// Returns the end of the town's last operation.
fn end_in(row: &QueryResult) -> Result<Option<LastOutcome>, StoreError> {
    events::last_outcome(row, END).map_err(store_error)
}

fn town_in(row: &QueryResult) -> Result<Option<Town>, StoreError> {
    joined::<towns::Entity, _, _>(row, TOWN, towns::Model::into_town)
}

/// Decodes the row of a joined table, or returns `None` if the join found none.
fn joined<E: EntityTrait, M: FromQueryResult, T>(
    row: &QueryResult,
    prefix: &str,
    read: impl FnOnce(M) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let key = E::PrimaryKey::iter().next().map(|key| row.try_get::<Option<Uuid>>(prefix, key.as_str()));
    if matches!(key, Some(Ok(None))) { Ok(None) } else { read(decoded::<E, M>(row, prefix)?).map(Some) }
}

#[cfg(test)]
mod tests;
