//! Apps, machines and volumes that exist without an API call.

mod document;
mod entities;

pub use document::{AppSeed, SeedDocument, SeedError, SeededMachine, SeededVolume};
pub use entities::{MachineSeed, VolumeSeed};
