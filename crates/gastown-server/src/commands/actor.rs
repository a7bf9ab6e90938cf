//! The name of the operator in the events of a town.

use crate::settings_source::Source;

/// Returns the operator with the login name, such as `operator:eve`. It cannot be confused with a user of the host.
pub(super) fn actor(source: &Source) -> String {
    source.get("USER").map_or_else(|| "operator".to_owned(), |login| format!("operator:{login}"))
}
