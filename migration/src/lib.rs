//! The schema of the registry, as migrations that run on Postgres and on SQLite.
//!
//! `gastown_towns` and `gastown_rigs` are a contract with other services on the same database, `kilocode_users`
//! belongs to the host application; the other tables are our own. Each file `m…` is one change, names everything
//! literally and is never edited once it has been released: a later change is a later file.
//!
//! [`up`], [`down`] and [`status`] work on an open connection, the functions in [`at_url`] on an address. All of them
//! are safe to call from several processes at once. Start reading at the list in [`Migrator`].

mod error;
mod in_use;
mod m20261123_000001_users;
mod m20261123_000002_towns;
mod m20261123_000003_rigs;
mod m20261123_000004_operations;
mod m20261123_000005_town_health;
mod m20261123_000006_town_events;
mod m20261123_000007_drift;
mod m20261123_000008_orphans;
mod m20261123_000009_passes;
mod m20261125_000010_lookups;
mod migrator;
mod run;

pub mod at_url;

pub use error::MigrateError;
pub use in_use::{InUse, in_use};
pub use migrator::{Migrator, TABLES_BESIDE_THE_MODEL};
pub use run::{MigrationState, down, status, up};
