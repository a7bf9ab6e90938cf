//! The schema of the registry, as migrations for Postgres and SQLite.
//!
//! `gastown_towns` and `gastown_rigs` are a contract with other services on the same database. `kilocode_users` belongs to
//! the host application. All other tables are our own. Each file `m…` is one change and names everything literally. It is
//! never edited after its release.
//!
//! [`address`] judges the address of a database, and [`postgres`] connects to it.
//!
//! [`up`], [`down`] and [`status`] work on an open connection, the functions in [`at_url`] on an address. Several
//! processes may call them at once. Start reading at the list in [`Migrator`].

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
mod m20261130_000011_drift_rounds;
mod m20261130_000012_requests_of_user;
mod m20261130_000013_retention;
mod m20261130_000014_refused_rigs;
mod m20261130_000015_restarts;
mod m20261130_000016_health_checks;
mod m20261201_000017_sandbox_reports;
mod m20261201_000018_restores;
mod m20261201_000019_idle_stops;
mod m20261201_000020_rollouts;
mod m20261201_000021_comparisons;
mod migrator;
mod run;

pub mod address;
pub mod at_url;
pub mod postgres;

pub use error::MigrateError;
pub use in_use::{InUse, in_use};
pub use migrator::{Migrator, TABLES_BESIDE_THE_MODEL};
pub use run::{MigrationState, down, has_user_column, status, up};
