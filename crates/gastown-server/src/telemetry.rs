//! Logs: human-readable on a terminal, JSON otherwise, always on standard error. Traces: to a collector, if one is set.

use std::error::Error;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, TracesConfig};
use crate::json_log::{JsonLines, JsonMembers};
use crate::settings_source::Source;
use crate::traces::Traces;

/// The logs and the traces of the process. Shut it down at the end, or the last traces are lost.
#[must_use]
pub struct Telemetry(Option<Traces>);

impl Telemetry {
    /// Exports the last traces, within a few seconds.
    pub async fn shut_down(self) {
        if let Some(traces) = self.0 {
            traces.shut_down().await;
        }
    }
}

/// Starts logging, and the export of traces if a collector is set. Call it in a runtime.
///
/// `LOG_FORMAT` (`human`, `json`), `LOG_LEVEL` (as `RUST_LOG`) and the settings of the collector are read. Without
/// `LOG_LEVEL`, `RUST_LOG` applies. Invalid settings have no effect here: the check of all settings reports them.
pub fn init(source: &Source, default_level: &str) -> Telemetry {
    let level = source.get("LOG_LEVEL").or(source.get("RUST_LOG")).unwrap_or(default_level);
    start(source, level, default_level)
}

/// Starts logging for a command, and the export of traces if a collector is set. Call it in a runtime.
///
/// The output of a command is for people and scripts, so it logs only warnings. `LOG_LEVEL` is that of the service, whose
/// settings a command shares. It applies if the command is to be `verbose`.
pub(crate) fn init_command(source: &Source, verbose: bool) -> Telemetry {
    const QUIET: &str = "warn";
    const VERBOSE: &str = "warn,gastown=debug";
    if verbose { init(source, VERBOSE) } else { start(source, QUIET, QUIET) }
}

fn start(source: &Source, level: &str, default_level: &str) -> Telemetry {
    let given = source.get("LOG_FORMAT").and_then(|raw| raw.parse().ok());
    let terminal = std::io::stderr().is_terminal();
    let format = given.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json });
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new(default_level));
    let runtime = tokio::runtime::Handle::current();
    let traces = TracesConfig::early(source).map(|config| Traces::start(&config, runtime));
    let (traces, failed) = match traces {
        Some(Ok(traces)) => (Some(traces), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    // A second call, as in tests, changes nothing.
    let _ = match &traces {
        Some(traces) => log_and_trace((format, terminal), filter, traces),
        None => log(format, terminal, filter),
    };
    if let Some(error) = failed {
        tracing::error!(%error, "traces are not exported");
    }
    Telemetry(traces)
}

/// Logs alone. The filter decides for the whole subscriber, which costs the least.
fn log(format: LogFormat, terminal: bool, filter: EnvFilter) -> Result<(), Box<dyn Error + Send + Sync>> {
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => logs.with_ansi(terminal).with_target(false).try_init(),
        LogFormat::Json => logs.fmt_fields(JsonMembers).event_format(JsonLines).try_init(),
    }
}

/// Logs, and exports spans. Each has its own filter.
fn log_and_trace(
    (format, terminal): (LogFormat, bool),
    filter: EnvFilter,
    traces: &Traces,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Human => lines.with_ansi(terminal).with_target(false).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonMembers).event_format(JsonLines).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init()?;
    Ok(())
}
