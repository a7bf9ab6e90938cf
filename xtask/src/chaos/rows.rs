//! The rows of this run's users: towns, operations in flight, rigs and events.

use gastown_domain::TownId;
use serde::Serialize;
use sqlx::PgPool;

/// All rows at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Rows {
    pub(super) towns: Vec<TownRow>,
    pub(super) operations: Vec<OperationRow>,
    pub(super) rigs: Vec<RigRow>,
    pub(super) events: Vec<EventRow>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct TownRow {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) machine: Option<String>,
    pub(super) volume: Option<String>,
    /// Soft-deleted.
    pub(super) gone: bool,
    /// The external change that the owner is shown.
    pub(super) drift: Option<String>,
    /// The name that its machine must have.
    pub(super) machine_name: String,
    /// The name that its volume must have.
    pub(super) volume_name: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct OperationRow {
    pub(super) id: String,
    pub(super) town: String,
    pub(super) kind: String,
    pub(super) step: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) owner: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct RigRow {
    pub(super) id: String,
    pub(super) town: String,
    pub(super) name: String,
    pub(super) repository: String,
    pub(super) status: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct EventRow {
    pub(super) town: String,
    pub(super) operation: Option<String>,
    pub(super) action: String,
    pub(super) outcome: String,
    pub(super) error: Option<String>,
    pub(super) rig: Option<String>,
    pub(super) rig_name: Option<String>,
    /// Seconds since 1970.
    pub(super) at: f64,
}

impl EventRow {
    /// Returns true for the acceptance of a request.
    pub(super) fn is_acceptance(&self) -> bool {
        self.outcome == "accepted"
    }

    /// Returns the operation that ended with this event.
    pub(super) fn ended(&self) -> Option<&str> {
        let ends = ["done", "failed", "rolled_back", "preempted"].contains(&self.outcome.as_str());
        self.operation.as_deref().filter(|_| ends)
    }
}

impl Rows {
    /// Reads all rows of these users' towns, including soft-deleted ones.
    pub(super) async fn read(pool: &PgPool, users: &[String]) -> sqlx::Result<Self> {
        Ok(Self {
            towns: towns(pool, users).await?,
            operations: operations(pool, users).await?,
            rigs: rigs(pool, users).await?,
            events: events(pool, users).await?,
        })
    }

    pub(super) fn town(&self, id: &str) -> Option<&TownRow> {
        self.towns.iter().find(|town| town.id == id)
    }

    pub(super) fn in_flight(&self, town: &str) -> bool {
        self.operations.iter().any(|operation| operation.town == town)
    }

    /// Returns rigs of running towns that are not active yet.
    pub(super) fn pending_rigs(&self) -> impl Iterator<Item = &RigRow> {
        let runs = |town: &str| self.town(town).is_some_and(|town| town.status == "running");
        self.rigs.iter().filter(move |rig| rig.status != "active" && runs(&rig.town))
    }
}

async fn towns(pool: &PgPool, users: &[String]) -> sqlx::Result<Vec<TownRow>> {
    type Row = (String, String, String, String, Option<String>, Option<String>, bool, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT t.id::text, t.user_id, t.town_name, t.status, t.fly_machine_id, t.fly_volume_id, \
         t.destroyed_at IS NOT NULL, h.drift FROM gastown_towns t \
         LEFT JOIN gastown_town_health h ON h.town_id = t.id WHERE t.user_id = ANY($1) ORDER BY t.created_at, t.id",
    )
    .bind(users)
    .fetch_all(pool)
    .await?;
    let town = |(id, user, name, status, machine, volume, gone, drift): Row| {
        let names = id.parse().map(names_of);
        let (machine_name, volume_name) = names.unwrap_or_default();
        TownRow { id, user, name, status, machine, volume, gone, drift, machine_name, volume_name }
    };
    Ok(rows.into_iter().map(town).collect())
}

/// Returns the names that a town's machine and volume must have. Written out here, to check the product's rule.
fn names_of(town: TownId) -> (String, String) {
    let digits = town.as_uuid().simple().to_string();
    (format!("town-{digits}"), format!("town_{}", digits.get(..24).unwrap_or_default()))
}

async fn operations(pool: &PgPool, users: &[String]) -> sqlx::Result<Vec<OperationRow>> {
    type Row = (String, String, String, Option<String>, Option<String>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT o.id::text, o.town_id::text, o.kind, o.step, o.last_error, o.owner FROM gastown_operations o \
         JOIN gastown_towns t ON t.id = o.town_id WHERE t.user_id = ANY($1) ORDER BY o.created_at, o.id",
    )
    .bind(users)
    .fetch_all(pool)
    .await?;
    let operation =
        |(id, town, kind, step, last_error, owner)| OperationRow { id, town, kind, step, last_error, owner };
    Ok(rows.into_iter().map(operation).collect())
}

async fn rigs(pool: &PgPool, users: &[String]) -> sqlx::Result<Vec<RigRow>> {
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT r.id::text, r.town_id::text, r.rig_name, r.repo_url, r.status FROM gastown_rigs r \
         JOIN gastown_towns t ON t.id = r.town_id WHERE t.user_id = ANY($1) ORDER BY r.created_at, r.id",
    )
    .bind(users)
    .fetch_all(pool)
    .await?;
    let rig = |(id, town, name, repository, status)| RigRow { id, town, name, repository, status };
    Ok(rows.into_iter().map(rig).collect())
}

async fn events(pool: &PgPool, users: &[String]) -> sqlx::Result<Vec<EventRow>> {
    type Row = (String, Option<String>, String, String, Option<String>, Option<String>, Option<String>, f64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT e.town_id::text, e.operation_id::text, e.action, e.outcome, e.error, e.detail->>'rig_id', \
         e.detail->>'rig_name', extract(epoch FROM e.at)::float8 FROM gastown_town_events e \
         JOIN gastown_towns t ON t.id = e.town_id WHERE t.user_id = ANY($1) ORDER BY e.at, e.id",
    )
    .bind(users)
    .fetch_all(pool)
    .await?;
    let event = |(town, operation, action, outcome, error, rig, rig_name, at)| EventRow {
        town,
        operation,
        action,
        outcome,
        error,
        rig,
        rig_name,
        at,
    };
    Ok(rows.into_iter().map(event).collect())
}
