//! The control plane of Gastown Cloud: configuration, wiring, and what the binary `gastown` does.
//!
//! The only place that knows every crate. It reads the environment once ([`Config`]), builds the adapters and hands them
//! over as ports ([`ControlPlane`]), and serves until it is told to stop. It decides nothing about towns.

mod background;
pub mod commands;
mod config;
mod control_plane;
mod open_database;
mod queue_stats;
mod settings_source;
mod system_ports;
mod telemetry;

pub use config::{Config, ConfigError, FlyConfig, HttpConfig, LogFormat, OrphansConfig, SecretsConfig};
pub use control_plane::{ControlPlane, StartError};
pub use settings_source::{Mistake, Source, SourceError};
pub use system_ports::{RandomIds, SystemClock, ThreadJitter};
pub use telemetry::init as init_telemetry;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;
