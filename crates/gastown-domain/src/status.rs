//! The status of a town and its allowed transitions.

use crate::text_enum::text_enum;

text_enum! {
    expected "provisioning, running, stopped or destroyed";
    /// The status of a town, in the column `gastown_towns.status`.
    pub enum TownStatus {
        /// Accepted. The machine has not run yet.
        Provisioning = "provisioning",
        /// The machine runs and the sandbox has answered.
        Running = "running",
        /// The machine is off and the volume is kept.
        Stopped = "stopped",
        /// Soft-deleted. The row is a tombstone.
        Destroyed = "destroyed",
    }
}

impl TownStatus {
    /// Returns true if a row may change from this status to `next`. A status may always stay. `destroyed` is final (FM-16).
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
