use serde_json::{Value, json};

use super::*;
use crate::captured_log::CapturedLog;

/// Returns the lines that `write` logs, as JSON.
fn logged(write: impl FnOnce()) -> Vec<Value> {
    let log = CapturedLog::default();
    let logs = tracing_subscriber::fmt().fmt_fields(JsonMembers).event_format(JsonLines);
    let logs = logs.with_writer(log.clone()).finish();
    tracing::subscriber::with_default(logs, write);
    log.take_lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ids_of_a_request_are_at_the_top_level() {
    let lines = logged(|| {
        tracing::error_span!("request", request_id = "r\"1", trace_id = "t1", http.method = "GET").in_scope(|| {
            tracing::error_span!("call", procedure = "p").in_scope(|| tracing::info!(town.id = "x", "town created"));
        });
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    for (name, want) in [("request_id", "r\"1"), ("trace_id", "t1"), ("message", "town created"), ("town.id", "x")] {
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
    let lines = logged(|| tracing::warn!("alone"));
    assert!(lines[0].get("span").is_none() && lines[0].get("spans").is_none(), "{lines:?}");
}

#[test]
fn line_has_every_field_with_its_type() {
    let odd = "a\"b\\c\n\r\t\u{1}\u{7f}é";
    let error = std::io::Error::other(odd);
    let lines = logged(|| {
        tracing::error_span!("request", empty = tracing::field::Empty, odd).in_scope(|| {
            tracing::info!(
                text = odd,
                shown = %odd,
                debugged = ?Some(1),
                signed = -1,
                unsigned = u64::MAX,
                real = 1.5,
                nan = f64::NAN,
                flag = true,
                error = &error as &dyn std::error::Error,
                r#type = "t",
                "it is {odd}"
            );
        });
    });
    let mut line = lines[0].clone();
    let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
    timestamp.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let span = json!({"odd": odd, "name": "request"});
    let want = json!({
        "level": "INFO", "target": module_path!(), "message": format!("it is {odd}"), "text": odd, "shown": odd,
        "debugged": "Some(1)", "signed": -1, "unsigned": u64::MAX, "real": 1.5, "nan": null, "flag": true,
        "error": odd, "type": "t", "span": span, "spans": [span],
    });
    assert_eq!(line, want);
}

#[test]
fn error_is_written_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("failed to update")]
    struct Failed(#[source] std::io::Error);

    let error = Failed(std::io::Error::other("no \"image\""));
    let lines = logged(|| tracing::warn!(error = &error as &dyn std::error::Error, "failed to execute step"));
    assert_eq!(lines[0]["error"], "failed to update: no \"image\"");
}

#[test]
fn recorded_fields_are_added_or_replaced() {
    let lines = logged(|| {
        let span = tracing::error_span!("call", a = "1", b = tracing::field::Empty, c = 3);
        span.record("b", "\"a\":\"x\"");
        span.record("a", "2");
        span.record("c", 4);
        span.in_scope(|| tracing::info!("done"));
    });
    assert_eq!(lines[0]["span"], json!({"a": "2", "b": "\"a\":\"x\"", "c": 4, "name": "call"}));
}

#[test]
fn member_is_removed_from_any_place() {
    for (name, want) in [("a", r#""b":"\",a","c":3"#), ("b", r#""a":1,"c":3"#), ("c", r#""a":1,"b":"\",a""#)] {
        let mut members = r#""a":1,"b":"\",a","c":3"#.to_owned();
        remove_member(&mut members, name);
        assert_eq!(members, want);
    }
    let mut only = r#""a":"b""#.to_owned();
    remove_member(&mut only, "b");
    remove_member(&mut only, "a");
    assert_eq!(only, "");
}
