//! The envelope around the outcome of one call.

use serde_json::json;

use super::{CallError, Code, router::Written};

/// How one call ended.
pub(super) struct Settled {
    pub(super) path: String,
    pub(super) outcome: Result<Written, CallError>,
}

impl Settled {
    /// The envelope as JSON text.
    pub(super) fn envelope(&self) -> String {
        match &self.outcome {
            Ok(Written::Undefined) => r#"{"result":{}}"#.to_owned(),
            Ok(Written::Json(data)) => format!(r#"{{"result":{{"data":{data}}}}}"#),
            Err(error) => bare(error, Some(&self.path)),
        }
    }

    /// The HTTP status of this call alone.
    pub(super) fn status(&self) -> u16 {
        self.outcome.as_ref().map_or_else(|error| error.code().http_status(), |_| 200)
    }
}

/// One error object. Without a path it belongs to the whole request.
pub(super) fn bare(error: &CallError, path: Option<&str>) -> String {
    json!({ "error": error.shape(path) }).to_string()
}

/// The status of a batch: that of its calls where they agree, else 207.
pub(super) fn batch_status(calls: &[Settled]) -> u16 {
    let mut statuses = calls.iter().map(Settled::status);
    let first = statuses.next().unwrap_or(Code::BadRequest.http_status());
    if statuses.all(|status| status == first) { first } else { 207 }
}
