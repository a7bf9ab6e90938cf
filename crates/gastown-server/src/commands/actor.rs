//! Who asks, for the history of a town: no user of the host application.

use crate::settings_source::Source;

/// The operator at the keyboard, by the name she is logged in under.
pub(super) fn actor(source: &Source) -> String {
    source.get("USER").map_or_else(|| "operator".to_owned(), |login| format!("operator:{login}"))
}
