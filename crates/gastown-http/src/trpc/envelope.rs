//! The envelope around the outcome of a call.

use serde_json::json;

use super::{
    answer::Untaken,
    code::Code,
    error::CallError,
    router::{Answer, Written},
};

/// The outcome of a call.
pub(super) struct CallOutcome {
    pub(super) path: String,
    pub(super) outcome: Result<Written, CallError>,
    /// The part of the output that the caller has not taken yet.
    pub(super) untaken: Option<Untaken>,
}

impl CallOutcome {
    pub(super) fn new(path: String, outcome: Result<Answer, CallError>) -> Self {
        match outcome {
            Ok(Answer { written, untaken }) => Self { path, outcome: Ok(written), untaken },
            Err(error) => Self { path, outcome: Err(error), untaken: None },
        }
    }

    /// Returns the seconds after which the caller may repeat this call, if it is refused for now.
    pub(super) fn retry_seconds(&self) -> Option<u64> {
        self.outcome.as_ref().err().and_then(CallError::retry_seconds)
    }

    /// Returns the envelope as JSON.
    pub(super) fn envelope(&self) -> String {
        match &self.outcome {
            Ok(Written::Undefined) => r#"{"result":{}}"#.to_owned(),
            Ok(Written::Json(data)) => format!(r#"{{"result":{{"data":{data}}}}}"#),
            Err(error) => bare(error, Some(&self.path)),
        }
    }

    /// Returns the HTTP status of this call alone.
    pub(super) fn status(&self) -> u16 {
        self.outcome.as_ref().map_or_else(|error| error.code().http_status(), |_| 200)
    }
}

/// Returns the envelope of an error. Without a path it is the answer to the whole request.
pub(super) fn bare(error: &CallError, path: Option<&str>) -> String {
    json!({ "error": error.shape(path) }).to_string()
}

/// Returns the status of a batch: that of its calls if they agree, else 207.
pub(super) fn batch_status(calls: &[CallOutcome]) -> u16 {
    let mut statuses = calls.iter().map(CallOutcome::status);
    let first = statuses.next().unwrap_or(Code::BadRequest.http_status());
    if statuses.all(|status| status == first) { first } else { 207 }
}
