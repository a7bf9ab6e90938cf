//! The column of the host's user table that tells if a user is blocked.

use std::str::FromStr;

use gastown_domain::Invalid;
use migration::MigrateError;

use crate::Database;

/// The longest name that Postgres keeps.
const MAX_NAME: usize = 63;
const ALLOWED: &str = "letters, digits and '_'";

/// The name of the column: a letter or `_`, then letters, digits and `_`, at most 63.
///
/// A user is blocked if the column has a value other than an empty text, `false` or 0. So it may be a reason, a time or a flag.
///
/// ```
/// use gastown_persistence::BlockedColumn;
/// assert!("blocked_reason".parse::<BlockedColumn>().is_ok());
/// assert!("x; DROP TABLE users".parse::<BlockedColumn>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedColumn(String);

impl BlockedColumn {
    /// The column that is used where the host's table has it.
    pub const DEFAULT: &str = "blocked_reason";

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the SQL that is 1 for blocked users of the table with this alias, and else 0.
    pub(crate) fn sql(&self, alias: &str) -> String {
        let column = format!("{alias}.\"{}\"", self.0);
        format!(
            "CASE WHEN {column} IS NULL OR LOWER(CAST({column} AS TEXT)) IN ('', 'false', 'f', '0') THEN 0 ELSE 1 END"
        )
    }
}

impl Default for BlockedColumn {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for BlockedColumn {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        if raw.is_empty() {
            return Err(Invalid::Empty);
        }
        if let Some(bad) = raw.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
            return Err(Invalid::Character { bad, allowed: ALLOWED });
        }
        if raw.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Invalid::Shape { expected: "a name that begins with a letter or '_'" });
        }
        if raw.len() > MAX_NAME {
            return Err(Invalid::TooLong { got: raw.len(), max: MAX_NAME });
        }
        Ok(Self(raw.to_owned()))
    }
}

impl Database {
    /// Reads from now on if a user is blocked, from this column of the host's user table. Clones that were made before do not.
    ///
    /// Returns `None` if the table has no such column.
    pub async fn with_blocked_column(self, column: &BlockedColumn) -> Result<Option<Self>, MigrateError> {
        let is_there = migration::has_user_column(&self.connection, column.as_str()).await?;
        Ok(is_there.then(|| self.reading_blocked(column.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_columns() {
        for (raw, ok) in [
            ("blocked_reason", true),
            ("_x1", true),
            ("blockedAt", true),
            ("", false),
            ("1x", false),
            ("a b", false),
            ("a\"b", false),
            ("a;b", false),
            ("u.blocked", false),
            ("\u{e4}", false),
        ] {
            assert_eq!(raw.parse::<BlockedColumn>().is_ok(), ok, "{raw:?}");
        }
        assert!("x".repeat(63).parse::<BlockedColumn>().is_ok());
        assert!("x".repeat(64).parse::<BlockedColumn>().is_err());
        assert_eq!(BlockedColumn::DEFAULT.parse(), Ok(BlockedColumn::default()));
    }
}
