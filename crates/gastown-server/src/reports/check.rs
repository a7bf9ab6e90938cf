//! The checks of `gastown doctor`, on this machine and at a server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Moment;

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// It works, and something should be mended.
    Warning,
    Failed,
    /// It depends on something that is missing.
    Skipped,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A check with what it found and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: Cow<'static, str>,
    pub(crate) state: State,
    pub(crate) detail: String,
    pub(crate) mend: Option<Cow<'static, str>>,
}

impl Check {
    pub(crate) fn ok(name: &'static str, detail: &str) -> Self {
        Self { name: name.into(), state: State::Ok, detail: detail.to_owned(), mend: None }
    }

    pub(crate) fn warning(name: &'static str, detail: &str, mend: &'static str) -> Self {
        Self { name: name.into(), state: State::Warning, detail: detail.to_owned(), mend: Some(mend.into()) }
    }

    pub(crate) fn failed(name: &'static str, detail: &str, mend: &'static str) -> Self {
        Self { name: name.into(), state: State::Failed, detail: detail.to_owned(), mend: Some(mend.into()) }
    }

    pub(crate) fn skipped(name: &'static str, detail: &str) -> Self {
        Self { name: name.into(), state: State::Skipped, detail: detail.to_owned(), mend: None }
    }
}

/// The findings of a server about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnosis {
    /// The version of the server.
    pub(crate) version: String,
    /// The time by the clock of the server.
    pub(crate) now: Moment,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}
