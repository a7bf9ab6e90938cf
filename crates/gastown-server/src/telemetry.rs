//! Logs: human-readable on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::json_log::{JsonLines, JsonMembers};
use crate::settings_source::Source;

/// Starts logging. `LOG_FORMAT` (`human`, `json`) and `LOG_LEVEL` (as `RUST_LOG`) are read from the settings. Without
/// `LOG_LEVEL`, `RUST_LOG` applies.
pub fn init(source: &Source, default_level: &str) {
    let given = source.get("LOG_FORMAT").and_then(|raw| raw.parse().ok());
    let terminal = std::io::stderr().is_terminal();
    let format = given.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let level = source.get("LOG_LEVEL").or(source.get("RUST_LOG")).unwrap_or(default_level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new(default_level));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in tests, changes nothing.
    let _ = match format {
        LogFormat::Human => logs.with_ansi(terminal).with_target(false).try_init(),
        LogFormat::Json => logs.fmt_fields(JsonMembers).event_format(JsonLines).try_init(),
    };
}
