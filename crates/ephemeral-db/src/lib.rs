//! Throw-away databases for tests.
//!
//! A [`TestDatabase`] is a fresh, migrated database that one test has for itself, on Postgres or on SQLite. Postgres
//! comes from `TEST_DATABASE_URL` when that is set, else from a [`Cluster`] that is started from installed binaries,
//! once per test process, and that cannot outlive it. The crate knows no schema: callers hand in how to migrate.
//! A [`PostgresProxy`] before such a database loses commits, or the answers to them.
//!
//! Start reading at [`TestDatabase`].

mod account;
mod cluster;
mod error;
mod programs;
mod proxy;
mod server;
mod supervisor;
mod template;
mod test_database;

pub use cluster::Cluster;
pub use error::EphemeralDbError;
pub use proxy::{Cut, PostgresProxy};
pub use test_database::TestDatabase;
