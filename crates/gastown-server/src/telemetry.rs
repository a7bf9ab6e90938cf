//! Logs: human-readable on a terminal, JSON otherwise, always on standard error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::settings_source::Source;

/// The fields of spans that each JSON line also has at its top level, where log stores index them.
const TOP_LEVEL: [&str; 2] = ["request_id", "trace_id"];

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
        LogFormat::Json => logs.json().flatten_event(true).map_event_format(WithIds).try_init(),
    };
}

/// The JSON format with the fields of [`TOP_LEVEL`], taken from the innermost span that has them.
struct WithIds(Format<Json>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for WithIds {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let Some(members) = line.strip_prefix('{') else { return writer.write_str(&line) };
        writer.write_char('{')?;
        for (name, value) in ids(context) {
            write!(writer, "\"{name}\":{value},")?;
        }
        writer.write_str(members)
    }
}

fn ids<S: Subscriber + for<'a> LookupSpan<'a>>(
    context: &FmtContext<'_, S, JsonFields>,
) -> BTreeMap<&'static str, Value> {
    let mut ids = BTreeMap::new();
    for span in context.event_scope().into_iter().flatten() {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<JsonFields>>().map(|fields| fields.fields.as_str());
        let Some(Ok(mut fields)) = fields.map(serde_json::from_str::<Map<String, Value>>) else { continue };
        for name in TOP_LEVEL {
            if let Some(value) = fields.remove(name) {
                ids.entry(name).or_insert(value);
            }
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured_log::CapturedLog;

    /// Returns the lines that `write` logs, as JSON.
    fn logged(write: impl FnOnce()) -> Vec<Value> {
        let log = CapturedLog::default();
        let logs = tracing_subscriber::fmt().json().flatten_event(true).map_event_format(WithIds);
        let logs = logs.with_writer(log.clone()).finish();
        tracing::subscriber::with_default(logs, write);
        log.take_lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn ids_of_a_request_are_at_the_top_level() {
        let lines = logged(|| {
            tracing::error_span!("request", request_id = "r\"1", trace_id = "t1", http.method = "GET").in_scope(|| {
                tracing::error_span!("call", procedure = "p")
                    .in_scope(|| tracing::info!(town.id = "x", "town created"));
            });
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        for (name, want) in [("request_id", "r\"1"), ("trace_id", "t1"), ("message", "town created"), ("town.id", "x")]
        {
            assert_eq!(line[name], want, "{line}");
        }
        assert!(line.get("http.method").is_none() && line["spans"][0]["http.method"] == "GET", "{line}");
    }

    #[test]
    fn innermost_span_determines_the_ids() {
        let lines = logged(|| {
            tracing::error_span!("request", request_id = "outer", trace_id = "t1").in_scope(|| {
                tracing::error_span!("operation", request_id = "inner").in_scope(|| tracing::info!("drained"));
            });
        });
        assert_eq!((&lines[0]["request_id"], &lines[0]["trace_id"]), (&"inner".into(), &"t1".into()));
    }

    #[test]
    fn line_without_a_request_has_no_ids() {
        let lines = logged(|| tracing::error_span!("sweep", worker = "w").in_scope(|| tracing::info!("swept")));
        assert_eq!(lines[0]["message"], "swept");
        assert!(lines[0].get("request_id").is_none() && lines[0].get("trace_id").is_none(), "{lines:?}");
    }
}
