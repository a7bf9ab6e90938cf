//! A check, and the output of all checks.

use serde_json::{Value, json};

use crate::commands::render::table::{headed, plain};

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// It works, and something should be mended.
    Warning,
    Failed,
    /// It depends on something that is missing.
    Skipped,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A check, and how to mend what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    pub(super) state: State,
    detail: String,
    mend: Option<&'static str>,
}

impl Check {
    pub(super) fn ok(name: &'static str, detail: &str) -> Self {
        Self { name, state: State::Ok, detail: detail.to_owned(), mend: None }
    }

    pub(super) fn warning(name: &'static str, detail: &str, mend: &'static str) -> Self {
        Self { name, state: State::Warning, detail: detail.to_owned(), mend: Some(mend) }
    }

    pub(super) fn failed(name: &'static str, detail: &str, mend: &'static str) -> Self {
        Self { name, state: State::Failed, detail: detail.to_owned(), mend: Some(mend) }
    }

    pub(super) fn skipped(name: &'static str, detail: &str) -> Self {
        Self { name, state: State::Skipped, detail: detail.to_owned(), mend: None }
    }
}

/// Returns all checks as a table.
pub(super) fn table(checks: &[Check]) -> String {
    let mut table = headed(["check", "state", "found", "to mend it"]);
    for Check { name, state, detail, mend } in checks {
        table.add_row([name, state.as_str(), &plain(detail), mend.unwrap_or("-")]);
    }
    table.trim_fmt()
}

/// Returns all checks as JSON.
pub(super) fn json(checks: &[Check]) -> Value {
    let check = |Check { name, state, detail, mend }: &Check| json!({ "name": name, "state": state.as_str(), "detail": detail, "mend": mend });
    let ok = checks.iter().all(|check| check.state != State::Failed);
    json!({ "ok": ok, "checks": checks.iter().map(check).collect::<Vec<_>>() })
}
