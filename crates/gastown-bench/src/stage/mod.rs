//! The processes of a run. Dropping a value stops its process.

mod fly;
pub(crate) mod open_file_limit;
mod postgres;
pub(crate) mod program;
pub(crate) mod seed;
mod server;
mod sqlite;
mod users;

pub(crate) use fly::{Fly, FlySetup, Limits, Timing};
pub(crate) use postgres::{Database, Postgres};
pub(crate) use server::{Placement, Server, ServerSetup};
pub(crate) use sqlite::Sqlite;
pub(crate) use users::{tokens, town_keys};
