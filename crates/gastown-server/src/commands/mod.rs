//! The commands of the binary, one file each.

mod actor;
pub mod adopt;
pub mod at_server;
pub mod config;
mod confirm;
mod database;
#[cfg(feature = "dev")]
pub mod dev;
pub mod doctor;
pub mod events;
pub mod exit;
mod fly_view;
pub mod generated;
pub mod keygen;
pub mod migrate;
pub mod operations;
pub mod orphans;
pub mod remote;
mod render;
pub mod rig;
pub mod rollout;
pub mod sandbox;
mod say;
pub mod serve;
mod shutdown;
mod since;
pub mod smoke;
pub mod token;
pub mod town;
mod town_environment;
mod town_ref;
pub mod unseal;
