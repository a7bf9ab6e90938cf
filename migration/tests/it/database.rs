//! Helpers for both databases.

use ephemeral_db::TestDatabase;
use migration::MigrateError;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, ExecResult, Statement,
};

pub(crate) async fn migrate(url: String) -> Result<(), MigrateError> {
    migration::at_url::up(&url).await
}

/// Returns an empty database of each kind with its name.
pub(crate) async fn each_empty() -> [(&'static str, TestDatabase); 2] {
    [("postgres", TestDatabase::empty_postgres().await.unwrap()), ("sqlite", TestDatabase::empty_sqlite().unwrap())]
}

/// Returns a migrated database of each kind with its name.
pub(crate) async fn each_migrated() -> [(&'static str, TestDatabase); 2] {
    [
        ("postgres", TestDatabase::postgres(migrate).await.unwrap()),
        ("sqlite", TestDatabase::sqlite(migrate).await.unwrap()),
    ]
}

pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    Database::connect(url).await.unwrap()
}

pub(crate) async fn execute(db: &DatabaseConnection, sql: &str) -> Result<ExecResult, DbErr> {
    db.execute_unprepared(sql).await
}

/// Returns the first column of a query's rows as text.
pub(crate) async fn texts(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Returns the complete schema as text, in a stable order.
pub(crate) async fn catalogue(db: &DatabaseConnection) -> String {
    let parts: &[(&str, &str)] = match db.get_database_backend() {
        DbBackend::Postgres => {
            &[("columns", POSTGRES_COLUMNS), ("constraints", POSTGRES_CONSTRAINTS), ("indexes", POSTGRES_INDEXES)]
        }
        _ => &[("columns", SQLITE_COLUMNS), ("statements", SQLITE_STATEMENTS)],
    };
    let mut sections = Vec::new();
    for (title, query) in parts {
        sections.push(format!("{title}\n{}\n", texts(db, query).await.join("\n")));
    }
    sections.join("\n")
}

const POSTGRES_COLUMNS: &str = "
    SELECT table_name || '.' || column_name || ' ' || data_type
           || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END
           || COALESCE(' default ' || column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public'
    ORDER BY table_name, ordinal_position";

const POSTGRES_CONSTRAINTS: &str = "
    SELECT table_name || ' ' || table_constraints.constraint_name || ': ' || pg_get_constraintdef(pg_constraint.oid)
    FROM information_schema.table_constraints
    JOIN pg_constraint ON conname = table_constraints.constraint_name
         AND conrelid = (table_schema || '.' || table_name)::regclass
    WHERE table_schema = 'public' AND contype <> 'n' ORDER BY table_name, table_constraints.constraint_name";

const POSTGRES_INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname";

const SQLITE_COLUMNS: &str = "
    SELECT tables.name || '.' || columns.name || ' ' || columns.type
           || CASE columns.\"notnull\" WHEN 1 THEN ' not null' ELSE '' END
           || COALESCE(' default ' || columns.dflt_value, '')
           || CASE columns.pk WHEN 0 THEN '' ELSE ' primary key' END
    FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' ORDER BY tables.name, columns.cid";

const SQLITE_STATEMENTS: &str =
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name";
