//! A town's status and what may follow it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Where a town stands: the column `gastown_towns.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TownStatus {
    /// Accepted; its machine has not run yet.
    Provisioning,
    /// Its machine runs and its sandbox has answered.
    Running,
    /// Its machine is off, its volume kept.
    Stopped,
    /// Soft-deleted: a tombstone.
    Destroyed,
}

impl TownStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Provisioning, Self::Running, Self::Stopped, Self::Destroyed];

    /// The text of the column and of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether a row may go from this status to `next`. Staying is always allowed; nothing leaves `destroyed` (FM-16).
    pub const fn may_become(self, next: Self) -> bool {
        use TownStatus::{Destroyed, Provisioning, Running, Stopped};
        match (self, next) {
            (Provisioning, Provisioning | Running | Destroyed) => true,
            (Provisioning, Stopped) => false,
            (Running, Running | Stopped | Destroyed) => true,
            (Running, Provisioning) => false,
            (Stopped, Stopped | Running | Destroyed) => true,
            (Stopped, Provisioning) => false,
            (Destroyed, Destroyed) => true,
            (Destroyed, Provisioning | Running | Stopped) => false,
        }
    }
}

impl std::fmt::Display for TownStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TownStatus {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == raw)
            .ok_or(Invalid::Shape { expected: "provisioning, running, stopped or destroyed" })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_table_of_statuses() {
        let mut table = String::new();
        for from in TownStatus::ALL {
            let next: Vec<_> =
                TownStatus::ALL.into_iter().filter(|to| from.may_become(*to)).map(TownStatus::as_str).collect();
            writeln!(table, "{:<12} -> {}", from.as_str(), next.join(", ")).unwrap();
            assert_eq!(from.as_str().parse(), Ok(from));
        }
        insta::assert_snapshot!(table, @r"
        provisioning -> provisioning, running, destroyed
        running      -> running, stopped, destroyed
        stopped      -> running, stopped, destroyed
        destroyed    -> destroyed
        ");
    }
}
