//! One line for each call: for people on a terminal, otherwise JSON.

use std::{io::Write, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

/// The form of the lines that a simulator writes to standard error, one for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Columns for people.
    Text,
    /// One JSON object in each line.
    Json,
}

/// An answered or dropped call.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The simulated time of the answer.
    pub(crate) at: DateTime<Utc>,
    pub(crate) method: &'a str,
    /// The path with its query. Neither has secrets in Fly's API.
    pub(crate) path: &'a str,
    /// `None` if the connection was closed instead.
    pub(crate) status: Option<u16>,
    pub(crate) elapsed: Duration,
    /// The kind of the effect that hit the call.
    pub(crate) fault: Option<&'static str>,
    pub(crate) request_id: &'a str,
}

impl AccessLog {
    /// Writes the line. A standard error that is closed is ignored.
    pub(crate) fn write(self, line: &Line<'_>) {
        let mut text = match self {
            Self::Text => line.as_text(),
            Self::Json => line.as_json(),
        };
        text.push('\n');
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Line<'_> {
    fn as_text(&self) -> String {
        let at = self.at.format("%H:%M:%S%.3f");
        let status = self.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
        let fault = self.fault.map(|fault| format!(" fault={fault}")).unwrap_or_default();
        let (method, path, ms) = (self.method, printable(self.path), self.elapsed.as_millis());
        format!("{at} {status} {method:<6} {path} {ms} ms{fault} {}", self.request_id)
    }

    fn as_json(&self) -> String {
        json!({
            "time": self.at.to_rfc3339_opts(SecondsFormat::Millis, true), "method": self.method, "path": self.path,
            "status": self.status, "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "fault": self.fault, "request_id": self.request_id,
        })
        .to_string()
    }
}

/// Replaces characters that could change the terminal.
fn printable(path: &str) -> String {
    path.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(status: Option<u16>, fault: Option<&'static str>) -> Line<'a> {
        let (at, elapsed) = (DateTime::UNIX_EPOCH, Duration::from_millis(7));
        Line { at, method: "GET", path: "/v1/apps?a=1", status, elapsed, fault, request_id: "01" }
    }

    #[test]
    fn text_has_status_path_time_and_fault() {
        assert_eq!(line(Some(200), None).as_text(), "00:00:00.000 200 GET    /v1/apps?a=1 7 ms 01");
        let dropped = line(None, Some("drop_answer")).as_text();
        assert_eq!(dropped, "00:00:00.000 --- GET    /v1/apps?a=1 7 ms fault=drop_answer 01");
    }

    #[test]
    fn json_has_one_object_a_line() {
        let text = line(Some(429), Some("throttle")).as_json();
        assert!(!text.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["status"], 429);
        assert_eq!((&value["fault"], &value["elapsed_ms"]), (&json!("throttle"), &json!(7)));
    }
}
