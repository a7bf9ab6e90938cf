//! The control plane of Gastown Cloud: configuration, wiring, and what the binary `gastown` does.
//!
//! It reads the environment once ([`Config`]), gives it to the builder of the crate `gastown` ([`ControlPlane`]), and serves
//! until it is stopped. It decides nothing about towns.

#[cfg(test)]
mod captured_log;
pub mod cli;
pub mod commands;
mod config;
mod console_endpoint;
mod control_plane;
mod http_settings;
mod json_log;
mod metrics_endpoint;
mod operator_access;
mod operator_api;
mod reports;
mod settings_source;
mod start_error;
mod telemetry;
mod traces;

pub use config::{
    CallLimits, Config, ConfigError, ConsoleConfig, FlyConfig, HttpConfig, HttpLimits, ListenAddress, ListenHost,
    LogFormat, MetricsConfig, OperatorToken, OrphansConfig, SETTINGS, SecretsConfig, Setting, SettingDefault,
};
pub use control_plane::ControlPlane;
pub use settings_source::{Mistake, Source, SourceError};
pub use start_error::StartError;
pub use telemetry::{Telemetry, init as init_telemetry};

#[cfg(doctest)]
#[doc = include_str!("../../../docs/quick-start.md")]
struct QuickStart;
