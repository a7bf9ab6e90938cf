//! The output of all checks.

use serde_json::{Value, json};

use crate::commands::render::table::{headed, plain};
use crate::reports::{Check, State};

/// Returns all checks as a table.
pub(super) fn table(checks: &[Check]) -> String {
    let mut table = headed(["check", "state", "found", "to mend it"]);
    for Check { name, state, detail, mend } in checks {
        let mend = mend.as_deref().unwrap_or("-");
        table.add_row([plain(name).as_str(), state.as_str(), &plain(detail), &plain(mend)]);
    }
    table.trim_fmt()
}

/// Returns all checks as JSON.
pub(super) fn json(checks: &[Check]) -> Value {
    let ok = checks.iter().all(|check| check.state != State::Failed);
    json!({ "ok": ok, "checks": checks })
}
