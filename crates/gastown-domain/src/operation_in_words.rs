//! The words with which an owner reads an operation: its goal, its step, and what comes next.

use chrono::{DateTime, Utc};

use crate::ports::TownReport;
use crate::{Drift, IdleStop, OperationKind, RecordedOperation, StepName};

impl RecordedOperation {
    /// Returns the goal in words.
    pub fn goal(&self) -> &'static str {
        if self.is_idle_stop() {
            return "Stop the town, because it is idle";
        }
        self.kind.known().map_or("Change the town", OperationKind::goal)
    }

    /// Returns the last step in words.
    pub fn step_message(&self) -> &'static str {
        let step = self.step.as_ref().map(|step| step.known().map_or("Working", StepName::message));
        step.unwrap_or("Waiting for its turn")
    }

    /// Returns what is tried next, and why if an attempt failed.
    pub fn next_message(&self) -> String {
        let step = self.step_message();
        match (&self.last_error, self.attempt) {
            (None, _) => step.to_owned(),
            (Some(failure), 0) => format!("{step}; until now {}", failure.message()),
            (Some(failure), 1) => format!("{step} again after a failed attempt: {}", failure.message()),
            (Some(failure), attempts) => {
                format!("{step} again after {attempts} failed attempts: {}", failure.message())
            }
        }
    }
}

impl OperationKind {
    /// Returns the goal in words.
    pub const fn goal(self) -> &'static str {
        match self {
            Self::Create => "Create the town",
            Self::Start => "Start the town",
            Self::Stop => "Stop the town",
            Self::Restart => "Restart the town",
            Self::Destroy => "Destroy the town",
            Self::RollBack => "Undo the creation of the town",
            Self::Restore => "Restore the town's data from R2",
            Self::UndoRestore => "Undo the restore of the town",
        }
    }

    /// Returns the time that such an operation usually takes, in seconds.
    pub const fn expected_seconds(self) -> u32 {
        match self {
            Self::Create => 60,
            Self::Start | Self::Stop => 30,
            Self::Restart => 60,
            Self::Restore => 300,
            Self::Destroy | Self::RollBack | Self::UndoRestore => 120,
        }
    }
}

impl TownReport {
    /// Returns true if the volume is lost and the data was saved before.
    pub fn is_restorable(&self) -> bool {
        let is_lost = self.health.drift.as_ref().is_some_and(|(drift, _)| *drift == Drift::VolumeLost);
        is_lost && self.town.last_r2_sync_at.is_some()
    }

    /// Returns the idle stop of the town, in flight or ended.
    pub fn idle_stop(&self) -> Option<IdleStop> {
        IdleStop::of(self.town.status, self.operation.as_ref(), self.health.idle_stopped_at)
    }

    /// Returns the time after which changes are lost by a restore. `None` if a restore is not possible.
    pub fn restores_data_of(&self) -> Option<DateTime<Utc>> {
        self.town.last_r2_sync_at.filter(|_| self.is_restorable())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{Failure, Operation};

    #[test]
    fn every_kind_and_step_has_words() {
        let mut table = String::new();
        for kind in OperationKind::ALL {
            writeln!(table, "{:<20} {} ({} s)", kind.as_str(), kind.goal(), kind.expected_seconds()).unwrap();
        }
        for step in StepName::ALL {
            let shown = if step.is_shown() { "" } else { " (not shown)" };
            writeln!(table, "{:<20} {}{shown}", step.as_str(), step.message()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_comes_next_says_why() {
        let operation = |step: Option<StepName>, attempt, error: Option<Failure>| -> RecordedOperation {
            let sample = Operation::sample();
            Operation { step: step.map(Into::into), attempt, last_error: error.map(Into::into), ..sample }.into()
        };
        let step = Some(StepName::StartMachine);
        for (operation, next) in [
            (operation(None, 0, None), "Waiting for its turn"),
            (operation(step, 0, None), "Starting the machine"),
            (
                operation(step, 0, Some(Failure::SandboxUnhealthy)),
                "Starting the machine; until now the machine runs, but its sandbox does not answer; try again later",
            ),
            (
                operation(step, 1, Some(Failure::MachineBusy)),
                "Starting the machine again after a failed attempt: the machine is being changed by another process; \
                 try again later",
            ),
            (
                operation(step, 3, Some(Failure::Throttled)),
                "Starting the machine again after 3 failed attempts: the provider is rate-limiting requests; \
                 try again later",
            ),
        ] {
            assert_eq!(operation.next_message(), next);
        }
    }

    #[test]
    fn lost_volume_with_a_backup_is_restorable() {
        let lost = |drift: Drift, synced: bool| {
            let mut report = TownReport::sample();
            report.health.drift = Some((drift.into(), DateTime::UNIX_EPOCH));
            report.town.last_r2_sync_at = synced.then_some(DateTime::UNIX_EPOCH);
            report.is_restorable()
        };
        assert!(lost(Drift::VolumeLost, true));
        assert!(!lost(Drift::VolumeLost, false));
        assert!(!lost(Drift::MachineMissing, true));
        assert!(!TownReport::sample().is_restorable());
    }
}
