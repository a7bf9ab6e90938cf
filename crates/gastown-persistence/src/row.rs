//! Conversion of rows to values of the domain.
//!
//! Other services write to these tables too. A row that breaks a rule is logged with its table, column and id, and does
//! not affect other rows.
//!
//! A newer version writes to them during a deployment (FM-59). A text that is only shown is read by [`Recorded::read`],
//! which accepts every text. A text that decides is parsed: unknown, it fails its row, and nothing is done with what the
//! row describes. The kind and phase of an operation decide and are shown, so they are recorded, and claims select only
//! known ones.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    BoxError, CheckNeed, HealthCheck, HeldOperation, JobState, Orphan, SingletonJob, StoreError, TownEvent, TownHealth,
    User, WorkerId,
};
use gastown_domain::{
    AgreeingObservations, Drift, Health, ImageRef, Invalid, Operation, OperationId, Recorded, RecordedOperation,
    RefusedRig, ResourceId, Rig, RigId, Rollout, RolloutNumber, SandboxReport, Town, TownId, TownRecord, TownStatus,
};
use sea_orm::{DbErr, EntityTrait, FromQueryResult, IdenStatic as _, Iterable as _, JsonValue, QueryResult};
use secrecy::SecretString;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::calendar::stored_deadline;
use crate::entity::{
    gastown_operations, gastown_orphans, gastown_passes, gastown_rigs, gastown_rollouts, gastown_town_events,
    gastown_town_health, gastown_towns, kilocode_users,
};
use crate::events::last_step;

/// The row that is being read, for errors.
struct RowReader<Id> {
    table: &'static str,
    id: Id,
}

impl<Id: Display> RowReader<Id> {
    fn corrupt(&self, column: &'static str, cause: impl Into<BoxError>) -> StoreError {
        StoreError::CorruptRow { table: self.table, column, id: self.id.to_string(), cause: cause.into() }
    }

    fn parsed<T>(&self, column: &'static str, raw: &str) -> Result<T, StoreError>
    where
        T: FromStr<Err: Into<BoxError>>,
    {
        raw.parse().map_err(|cause: T::Err| self.corrupt(column, cause))
    }

    fn parsed_optional<T>(&self, column: &'static str, raw: Option<&str>) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: Into<BoxError>>,
    {
        raw.map(|raw| self.parsed(column, raw)).transpose()
    }

    /// Returns an image, which an older version may have accepted by another rule.
    fn image(&self, column: &'static str, raw: &str) -> Result<ImageRef, StoreError> {
        ImageRef::stored(raw).map_err(|cause| self.corrupt(column, cause))
    }

    /// Returns the value of a column that must not be null.
    fn present(&self, column: &'static str, at: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, StoreError> {
        at.ok_or_else(|| self.corrupt(column, Invalid::Shape { expected: "a time" }))
    }

    /// Returns the agreeing observations. Those of a newer version's drift count for nothing here, and are not an error.
    fn suspicion(&self, drift: Option<&str>, looks: i64) -> Result<Option<AgreeingObservations>, StoreError> {
        let Some(drift) = drift.map(Recorded::<Drift>::read).and_then(|drift| drift.known()) else { return Ok(None) };
        Ok(Some(AgreeingObservations { drift, looks: self.counted("suspicion_looks", looks)? }))
    }

    fn counted(&self, column: &'static str, raw: i64) -> Result<u32, StoreError> {
        u32::try_from(raw).map_err(|cause| self.corrupt(column, cause))
    }

    fn counted_optional<T>(&self, column: &'static str, raw: Option<i64>) -> Result<Option<T>, StoreError>
    where
        T: TryFrom<i64, Error: Into<BoxError>>,
    {
        raw.map(|raw| T::try_from(raw).map_err(|cause| self.corrupt(column, cause))).transpose()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str, raw: JsonValue) -> Result<T, StoreError> {
        serde_json::from_value(raw).map_err(|cause| self.corrupt(column, cause))
    }
}

impl gastown_towns::Model {
    pub(crate) fn into_town(self) -> Result<Town, StoreError> {
        let row = RowReader { table: "gastown_towns", id: self.id };
        Ok(Town {
            id: TownId::new(self.id),
            owner: row.parsed("user_id", &self.user_id)?,
            name: row.parsed("town_name", &self.town_name)?,
            sandbox_id: row.parsed("sandbox_id", &self.sandbox_id)?,
            machine_id: row.parsed_optional("fly_machine_id", self.fly_machine_id.as_deref())?,
            volume_id: row.parsed_optional("fly_volume_id", self.fly_volume_id.as_deref())?,
            region: row.parsed_optional("fly_region", self.fly_region.as_deref())?,
            status: row.parsed("status", &self.status)?,
            last_r2_sync_at: self.last_r2_sync_at,
            last_heartbeat_at: self.last_heartbeat_at,
            config: row.json("config", self.config.unwrap_or_else(empty_object))?,
            created_at: self.created_at,
            destroyed_at: self.destroyed_at,
        })
    }
}

impl gastown_rigs::Model {
    pub(crate) fn into_rig(self) -> Result<Rig, StoreError> {
        let row = RowReader { table: "gastown_rigs", id: self.id };
        Ok(Rig {
            id: RigId::new(self.id),
            town: TownId::new(self.town_id),
            name: row.parsed("rig_name", &self.rig_name)?,
            repo: row.parsed("repo_url", &self.repo_url)?,
            branch: row.parsed_optional("branch", self.branch.as_deref())?,
            status: row.parsed("status", &self.status)?,
            config: row.json("config", self.config.unwrap_or_else(empty_object))?,
            created_at: self.created_at,
        })
    }
}

impl gastown_operations::Model {
    pub(crate) fn into_operation(self) -> Result<RecordedOperation, StoreError> {
        let row = RowReader { table: "gastown_operations", id: self.town_id };
        Ok(Operation {
            id: OperationId::new(self.id),
            town: TownId::new(self.town_id),
            kind: Recorded::read(&self.kind),
            phase: Recorded::read(&self.mark),
            step: self.step.as_deref().map(Recorded::read),
            attempt: row.counted("attempt", self.attempt)?,
            last_error: self.last_error.as_deref().map(Recorded::read),
            cause: self.cause.as_deref().map(Recorded::read),
            requested_by: row.parsed("requested_by", &self.requested_by)?,
            fence: self.fence,
            next_attempt_at: self.next_attempt_at,
            deadline_at: stored_deadline(self.deadline_at),
            progress: row.json("progress", self.progress)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }

    /// Returns the operation for a claim, which selects only rows with a known kind and phase.
    pub(crate) fn into_known(self) -> Result<Operation, StoreError> {
        let row = RowReader { table: "gastown_operations", id: self.town_id };
        let unknown = Invalid::Shape { expected: "a known kind and phase" };
        self.into_operation()?.into_known().ok_or_else(|| row.corrupt("kind", unknown))
    }

    /// Returns the operation with its lease. `owner` and `name` are columns of its town.
    pub(crate) fn into_held(self, owner: &str, name: String) -> Result<HeldOperation, StoreError> {
        let town = RowReader { table: "gastown_towns", id: self.town_id };
        Ok(HeldOperation {
            owner: town.parsed("user_id", owner)?,
            name,
            held_by: self.owner.clone().map(WorkerId),
            lease_expires_at: self.lease_expires_at,
            operation: self.into_operation()?,
        })
    }
}

impl gastown_town_health::Model {
    pub(crate) fn into_health(self) -> Result<TownHealth, StoreError> {
        let row = RowReader { table: "gastown_town_health", id: self.town_id };
        Ok(TownHealth {
            failures: row.counted("failures", self.failures)?,
            restarts: row.counted("restarts", self.restarts)?,
            window_started_at: self.window_started_at,
            state: self.state.as_deref().map(Recorded::read).unwrap_or_default(),
            since: self.state_since,
            reason: self.reason.as_deref().map(Recorded::read),
            last_report_at: self.last_report_at,
            report: SandboxReport {
                gt_running: self.gt_running,
                dolt_running: self.dolt_running,
                active_polecats: row.counted_optional("active_polecats", self.active_polecats)?,
                disk_used_bytes: row.counted_optional("disk_used_bytes", self.disk_used_bytes)?,
            },
            token_expires_at: self.token_expires_at,
            idle_stopped_at: self.idle_stopped_at,
            image: self.image.as_deref().map(|raw| row.image("image", raw)).transpose()?,
            checked_at: self.checked_at,
            compared_at: self.compared_at,
            refused_rigs: refused_rigs(self.refused_rigs.as_ref()),
            suspicion: row.suspicion(self.suspicion.as_deref(), self.suspicion_looks)?,
            drift: match self.drift.as_deref() {
                Some(drift) => Some((Recorded::read(drift), row.present("drift_since", self.drift_since)?)),
                None => None,
            },
        })
    }
}

impl gastown_rollouts::Model {
    pub(crate) fn into_rollout(self) -> Result<Rollout, StoreError> {
        let row = RowReader { table: "gastown_rollouts", id: self.number };
        let ranged = |column, raw: i64| u64::try_from(raw).map_err(|cause| row.corrupt(column, cause));
        let percent = ranged("percent", self.percent)?;
        let most = ranged("max_unavailable", self.max_unavailable)?;
        Ok(Rollout {
            number: RolloutNumber::new(self.number),
            image: row.image("image", &self.image)?,
            setting: self.setting.as_deref().map(|raw| row.image("setting", raw)).transpose()?,
            percent: percent.try_into().map_err(|cause: Invalid| row.corrupt("percent", cause))?,
            only_stopped: self.only_stopped,
            max_unavailable: most.try_into().map_err(|cause: Invalid| row.corrupt("max_unavailable", cause))?,
            state: row.parsed("state", &self.state)?,
            reason: self.reason,
            known_failures: row.counted("known_failures", self.known_failures)?,
            started_by: self.started_by,
            changed_by: self.changed_by,
            started_at: self.started_at,
            changed_at: self.changed_at,
            ended_at: self.ended_at,
        })
    }
}

/// The columns of a due health check.
#[derive(FromQueryResult)]
pub(crate) struct DueCheck {
    town_id: Uuid,
    failures: i64,
    restarts: i64,
    window_started_at: Option<DateTime<Utc>>,
    state: Option<String>,
    state_since: Option<DateTime<Utc>>,
    reason: Option<String>,
    user_id: String,
    fly_machine_id: Option<String>,
    pub(crate) status: String,
    pub(crate) destroyed_at: Option<DateTime<Utc>>,
    pub(crate) is_busy: bool,
}

impl DueCheck {
    pub(crate) fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Self::from_query_result(row, "")
    }

    pub(crate) fn into_check(self, need: CheckNeed) -> Result<HealthCheck, StoreError> {
        let town = RowReader { table: "gastown_towns", id: self.town_id };
        let row = RowReader { table: "gastown_town_health", id: self.town_id };
        Ok(HealthCheck {
            town: TownId::new(self.town_id),
            owner: town.parsed("user_id", &self.user_id)?,
            machine: town.parsed_optional("fly_machine_id", self.fly_machine_id.as_deref())?,
            need,
            health: Health {
                state: self.state.as_deref().map(Recorded::read).unwrap_or_default(),
                since: self.state_since,
                reason: self.reason.as_deref().map(Recorded::read),
                failures: row.counted("failures", self.failures)?,
                restarts: row.counted("restarts", self.restarts)?,
                window_started_at: self.window_started_at,
            },
        })
    }
}

impl gastown_town_events::Model {
    pub(crate) fn into_event(self) -> TownEvent {
        TownEvent {
            last_step: self.detail.as_ref().and_then(last_step),
            at: self.at,
            actor: self.actor,
            action: self.action,
            outcome: self.outcome,
            error: self.error,
            operation: self.operation_id.map(OperationId::new),
        }
    }
}

impl gastown_orphans::Model {
    pub(crate) fn into_orphan(self) -> Result<Orphan, StoreError> {
        let row = RowReader { table: "gastown_orphans", id: format!("{} {} {}", self.app, self.kind, self.fly_id) };
        let resource = match self.kind.as_str() {
            "machine" => ResourceId::Machine(row.parsed("fly_id", &self.fly_id)?),
            "volume" => ResourceId::Volume(row.parsed("fly_id", &self.fly_id)?),
            _ => return Err(row.corrupt("kind", Invalid::Shape { expected: "machine or volume" })),
        };
        Ok(Orphan {
            app: row.parsed("app", &self.app)?,
            resource,
            name: self.name,
            reason: Recorded::read(&self.reason),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
            times_seen: row.counted("times_seen", self.times_seen)?,
            deletion_asked_at: self.deletion_asked_at,
        })
    }
}

impl gastown_passes::Model {
    pub(crate) fn into_state(self, job: SingletonJob) -> JobState {
        JobState { job, ended_at: self.ended_at, alarm: self.alarm.as_deref().map(Recorded::read) }
    }
}

/// Id, status, machine, volume and operation of a town.
pub(crate) type TownRecordRow = (Uuid, String, Option<String>, Option<String>, Option<Uuid>);

/// Converts a row. An unreadable row accounts for every resource of its town, so that none is deleted by mistake.
pub(crate) fn town_record((id, status, machine, volume, operating): TownRecordRow) -> TownRecord {
    let row = RowReader { table: "gastown_towns", id };
    let town = TownId::new(id);
    let read = || {
        Ok::<_, StoreError>(TownRecord {
            town,
            status: row.parsed("status", &status)?,
            machine: row.parsed_optional("fly_machine_id", machine.as_deref())?,
            volume: row.parsed_optional("fly_volume_id", volume.as_deref())?,
            in_flight: operating.is_some(),
        })
    };
    read().unwrap_or_else(|error| {
        log_unreadable(&error);
        TownRecord { town, status: TownStatus::Provisioning, machine: None, volume: None, in_flight: true }
    })
}

impl kilocode_users::Model {
    pub(crate) fn into_user(self, is_blocked: bool) -> Result<User, StoreError> {
        let row = RowReader { table: "kilocode_users", id: &self.id };
        let pepper = self.api_token_pepper.clone().map(SecretString::from);
        Ok(User { id: row.parsed("id", &self.id)?, pepper, is_blocked })
    }
}

/// Returns the refused rigs of a town. They are only shown, so an entry that cannot be read is left out.
pub(crate) fn refused_rigs(stored: Option<&JsonValue>) -> Vec<RefusedRig> {
    let entries = stored.and_then(JsonValue::as_array).map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect()
}

fn empty_object() -> JsonValue {
    Value::Object(Map::new())
}

/// A row whose decoding panicked, as that of a time beyond the calendar does on Postgres.
#[derive(Debug, thiserror::Error)]
#[error("value cannot be decoded")]
struct DecodingPanicked;

/// Decodes one row of the entity's table.
///
/// The driver cannot decode every value: on SQLite invalid JSON or times, on Postgres `infinity`. Such a value fails only
/// its own row and not the whole result.
pub(crate) fn decoded<E: EntityTrait, M: FromQueryResult>(row: &QueryResult, prefix: &str) -> Result<M, StoreError> {
    let decode = AssertUnwindSafe(|| M::from_query_result(row, prefix));
    let cause: BoxError = match catch_unwind(decode) {
        Ok(Ok(model)) => return Ok(model),
        Ok(Err(error)) => Box::new(error),
        Err(_panic) => Box::new(DecodingPanicked),
    };
    let id = E::PrimaryKey::iter().map(|column| key_of(row, prefix, column.as_str())).collect::<Vec<_>>().join(" ");
    Err(StoreError::CorruptRow { table: E::default().table_name(), column: "*", id, cause })
}

fn key_of(row: &QueryResult, prefix: &str, column: &str) -> String {
    let id = row.try_get::<Uuid>(prefix, column).map(|id| id.to_string());
    id.or_else(|_| row.try_get(prefix, column)).unwrap_or_else(|_| "?".to_owned())
}

/// Decodes an operation.
pub(crate) fn operation_of<T>(
    row: &QueryResult,
    read: impl Fn(gastown_operations::Model) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    read(decoded::<gastown_operations::Entity, _>(row, "")?)
}

/// Decodes rows one at a time.
pub(crate) fn each<E: EntityTrait, M: FromQueryResult, T>(
    rows: &[QueryResult],
    read: impl Fn(M) -> Result<T, StoreError>,
) -> impl Iterator<Item = Result<T, StoreError>> {
    rows.iter().map(move |row| read(decoded::<E, M>(row, "")?))
}

/// Decodes rows one at a time, and keeps the readable ones.
pub(crate) fn each_readable<E: EntityTrait, M: FromQueryResult, T>(
    rows: &[QueryResult],
    read: impl Fn(M) -> Result<T, StoreError>,
) -> Vec<T> {
    readable(each::<E, M, T>(rows, read))
}

/// Keeps the readable rows, and logs the others.
pub(crate) fn readable<T>(rows: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
    rows.filter_map(|row| row.inspect_err(log_unreadable).ok()).collect()
}

/// Logs a row that cannot be read.
pub(crate) fn log_unreadable(error: &StoreError) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::error!(error, "failed to read row");
}
