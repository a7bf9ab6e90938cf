//! Logs: for people on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogFormat;
use crate::settings_source::Source;

/// Begins to log. `LOG_FORMAT` (`human`, `json`) and `LOG_LEVEL` (as `RUST_LOG`) are taken from the settings; `RUST_LOG`
/// stands in for an absent `LOG_LEVEL`.
pub fn init(source: &Source, usual_level: &str) {
    let given = source.get("LOG_FORMAT").and_then(|raw| raw.parse().ok());
    let terminal = std::io::stderr().is_terminal();
    let format = given.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let level = source.get("LOG_LEVEL").or(source.get("RUST_LOG")).unwrap_or(usual_level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new(usual_level));
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::NONE).with_writer(std::io::stderr);
    // A second call, as in tests, changes nothing.
    let _ = match format {
        LogFormat::Human => logs.with_ansi(terminal).with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
