//! The rows of the database, read without the repositories.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, FromQueryResult, Statement};
use serde_json::Value;
use uuid::Uuid;

/// A row of `gastown_towns`.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
#[expect(clippy::struct_field_names, reason = "named like the columns")]
pub(crate) struct Town {
    pub(crate) id: Uuid,
    pub(crate) user_id: String,
    pub(crate) town_name: String,
    pub(crate) sandbox_id: String,
    pub(crate) fly_machine_id: Option<String>,
    pub(crate) fly_volume_id: Option<String>,
    pub(crate) fly_region: Option<String>,
    pub(crate) status: String,
    pub(crate) last_r2_sync_at: Option<DateTime<Utc>>,
    pub(crate) last_heartbeat_at: Option<DateTime<Utc>>,
    pub(crate) config: Value,
    pub(crate) destroyed_at: Option<DateTime<Utc>>,
}

impl Town {
    pub(crate) fn machine(&self) -> &str {
        self.fly_machine_id.as_deref().expect("no machine id in the row")
    }

    pub(crate) fn volume(&self) -> &str {
        self.fly_volume_id.as_deref().expect("no volume id in the row")
    }
}

/// A row of `gastown_rigs`.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
#[expect(clippy::struct_field_names, reason = "named like the columns")]
pub(crate) struct Rig {
    pub(crate) id: Uuid,
    pub(crate) town_id: Uuid,
    pub(crate) rig_name: String,
    pub(crate) repo_url: String,
    pub(crate) branch: Option<String>,
    pub(crate) status: String,
}

/// A row of `gastown_operations`.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(crate) struct Operation {
    pub(crate) town_id: Uuid,
    pub(crate) kind: String,
    pub(crate) mark: String,
    pub(crate) step: Option<String>,
    pub(crate) last_error: Option<String>,
    pub(crate) owner: Option<String>,
}

/// A row of `gastown_town_events`.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(crate) struct Event {
    pub(crate) town_id: Uuid,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) error: Option<String>,
}

/// A row of `gastown_orphans`.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(crate) struct Orphan {
    pub(crate) fly_id: String,
    pub(crate) reason: String,
    pub(crate) times_seen: i64,
}

/// A separate connection to the database.
pub(crate) struct Rows(DatabaseConnection);

impl Rows {
    pub(crate) async fn of(url: &str) -> Self {
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(2).sqlx_logging(false);
        Self(sea_orm::Database::connect(options).await.unwrap())
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap();
    }

    /// Expires every claim of a replica.
    pub(crate) async fn expire_leases_of(&self, owner: &str) {
        let over = "'2000-01-01T00:00:00+00:00'";
        self.execute(&format!(
            "UPDATE gastown_operations SET lease_expires_at = {over}, next_attempt_at = {over} WHERE owner = '{owner}'"
        ))
        .await;
    }

    /// Expires the deadline of every operation. A replica with a claim may overwrite it.
    pub(crate) async fn expire_deadlines(&self) {
        self.execute("UPDATE gastown_operations SET deadline_at = '2000-01-01T00:00:00+00:00'").await;
    }

    pub(crate) async fn towns(&self) -> Vec<Town> {
        self.all("SELECT * FROM gastown_towns ORDER BY created_at, id").await
    }

    pub(crate) async fn rigs(&self) -> Vec<Rig> {
        self.all("SELECT * FROM gastown_rigs ORDER BY created_at, id").await
    }

    pub(crate) async fn operations(&self) -> Vec<Operation> {
        self.all("SELECT * FROM gastown_operations ORDER BY created_at, id").await
    }

    /// Returns the progress of each operation as text.
    pub(crate) async fn progress(&self) -> Vec<String> {
        #[derive(FromQueryResult)]
        struct Row {
            progress: String,
        }
        let rows: Vec<Row> = self.all("SELECT CAST(progress AS TEXT) AS progress FROM gastown_operations").await;
        rows.into_iter().map(|row| row.progress).collect()
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        self.all("SELECT * FROM gastown_town_events ORDER BY at, id").await
    }

    pub(crate) async fn orphans(&self) -> Vec<Orphan> {
        self.all("SELECT * FROM gastown_orphans ORDER BY first_seen_at, fly_id").await
    }

    pub(crate) async fn town(&self, id: Uuid) -> Town {
        let found = self.towns().await.into_iter().find(|town| town.id == id);
        found.unwrap_or_else(|| panic!("no row of town {id}"))
    }

    /// Returns everything that a refused call must not change.
    pub(crate) async fn everything(&self) -> String {
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}",
            self.towns().await,
            self.rigs().await,
            self.operations().await,
            self.events().await
        )
    }

    /// Returns the rows of every table as text, by table.
    pub(crate) async fn dump(&self) -> BTreeMap<String, String> {
        let backend = self.0.get_database_backend();
        let tables = match backend {
            DbBackend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            _ => "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = 'public'",
        };
        let mut dump = BTreeMap::new();
        for table in self.texts(tables, "name").await {
            let rows = match backend {
                DbBackend::Sqlite => {
                    let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')"), "name").await;
                    let columns = columns.iter().map(|column| format!("quote(\"{column}\")"));
                    let line = columns.collect::<Vec<_>>().join(" || ' ' || ");
                    self.texts(&format!("SELECT {line} AS line FROM \"{table}\""), "line").await
                }
                _ => self.texts(&format!("SELECT t::text AS line FROM \"{table}\" t"), "line").await,
            };
            dump.insert(table, rows.join("\n"));
        }
        dump
    }

    async fn texts(&self, sql: &str, column: &str) -> Vec<String> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let rows = self.0.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
    }

    async fn all<T: FromQueryResult + Send>(&self, sql: &str) -> Vec<T> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        T::find_by_statement(statement).all(&self.0).await.unwrap()
    }
}
