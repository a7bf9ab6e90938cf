//! Ephemeral databases for tests.
//!
//! A [`TestDatabase`] is a new, migrated database on Postgres or SQLite, for one test. The Postgres server is that of
//! `TEST_DATABASE_URL` if it is set. Otherwise it is a [`Cluster`], which each test process starts at most once from
//! installed binaries, and which ends with the process. The crate has no schema, so callers provide the migration.
//! A [`PostgresProxy`] in front of such a database loses commits, or the answers to them. [`PgBouncer`] is the real pooler.
//!
//! Start reading at [`TestDatabase`].

mod account;
mod cluster;
mod error;
mod pgbouncer;
mod programs;
mod proxy;
mod server;
mod supervisor;
mod template;
mod test_database;

pub use cluster::Cluster;
pub use error::EphemeralDbError;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use proxy::{Cut, PostgresProxy};
pub use test_database::TestDatabase;
