//! The control plane of Gastown Cloud: configuration, wiring, and what the binary `gastown` does.
//!
//! The only crate that depends on all others. It reads the environment once ([`Config`]), builds the adapters and passes
//! them on as ports ([`ControlPlane`]), and serves until it is stopped. It decides nothing about towns.

mod background;
#[cfg(test)]
mod captured_log;
pub mod commands;
mod config;
mod control_plane;
mod file_descriptors;
mod http_settings;
mod json_log;
mod open_database;
mod queue_stats;
mod settings_source;
mod start_error;
mod telemetry;

pub use config::{
    CallLimits, Config, ConfigError, FlyConfig, HttpConfig, HttpLimits, ListenHost, LogFormat, OrphansConfig,
    SecretsConfig,
};
pub use control_plane::ControlPlane;
pub use settings_source::{Mistake, Source, SourceError};
pub use start_error::StartError;
pub use telemetry::init as init_telemetry;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;
