//! The commands of the binary, one file each.

mod actor;
mod confirm;
mod database;
mod deletion;
#[cfg(feature = "dev")]
pub mod dev;
mod lost_answers;
pub mod migrate;
pub mod operations;
pub mod orphans;
mod render;
pub mod sandbox;
mod say;
pub mod serve;
mod shutdown;
pub mod town;
pub mod unseal;
