//! Whether a run has shown anything: balanced books of a storm in which nothing happened prove nothing.

use std::time::Duration;

use super::kills::{AWAY, PAUSE};
use super::stage::{LEASE, SWEEP};
use crate::progress::Elapsed;

/// A run shorter than this may see no kill, and needs not.
const LONG_ENOUGH: Duration = Duration::from_millis(3 * *PAUSE.end());
/// All may be dead at once, and a process needs its time to come up on a busy machine; then all that the dead drove is due,
/// and there are only so many permits for it. What is not recovered by then is nobody's.
const QUEUE: Duration = Duration::from_secs(45);

/// What happened in a run.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    /// How long things went wrong.
    pub(super) storm: Duration,
    /// Operations that were taken on.
    pub(super) accepted: u64,
    pub(super) faults: usize,
    pub(super) kills: u64,
    /// Replicas that ended by themselves.
    pub(super) crashes: u64,
    pub(super) panics: u64,
    /// How long the database was away.
    pub(super) outage: Duration,
    /// The longest that an operation of a dead process waited for another one.
    pub(super) longest_recovery: Option<Duration>,
}

impl Proof {
    /// What the run lacks, or had too much of.
    pub(super) fn shortcomings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.storm >= LONG_ENOUGH {
            let nothing =
                [("operations accepted", self.accepted), ("faults", self.faults as u64), ("kills", self.kills)];
            found.extend(nothing.into_iter().filter(|(_, count)| *count == 0).map(|(what, _)| format!("no {what}")));
        }
        if self.crashes > 0 {
            found.push(format!("{} replicas ended by themselves", self.crashes));
        }
        if self.panics > 0 {
            found.push(format!("{} panics in the logs", self.panics));
        }
        let bound = self.recovery_within();
        if let Some(longest) = self.longest_recovery.filter(|longest| *longest > bound) {
            found.push(format!("the longest recovery took {}, more than {}", Elapsed(longest), Elapsed(bound)));
        }
        found
    }

    /// A dead process's lease has been prolonged a moment before at most. Once it is over, a sweep of any replica takes the
    /// operation; at worst all were dead, had swept just before, had no database, or had much else to take.
    pub(super) fn recovery_within(&self) -> Duration {
        LEASE + 3 * SWEEP + Duration::from_millis(*AWAY.end()) + self.outage + QUEUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Proof {
        Proof {
            storm: Duration::from_secs(60),
            accepted: 100,
            faults: 200,
            kills: 10,
            crashes: 0,
            panics: 0,
            outage: Duration::from_secs(2),
            longest_recovery: Some(Duration::from_secs(14)),
        }
    }

    #[track_caller]
    fn lacks(proof: &Proof, what: &str) {
        let found = proof.shortcomings();
        assert!(matches!(&found[..], [one] if one.contains(what)), "{found:?}");
    }

    #[test]
    fn a_run_in_which_much_happened_and_nothing_took_too_long_proves_something() {
        assert_eq!(sound().shortcomings(), Vec::<String>::new());
        assert_eq!(Proof { longest_recovery: None, ..sound() }.shortcomings(), Vec::<String>::new());
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        lacks(&Proof { accepted: 0, ..sound() }, "operations accepted");
        lacks(&Proof { faults: 0, ..sound() }, "faults");
        lacks(&Proof { kills: 0, ..sound() }, "kills");
        let short = Proof { storm: Duration::from_secs(3), kills: 0, ..sound() };
        assert_eq!(short.shortcomings(), Vec::<String>::new());
    }

    #[test]
    fn replicas_neither_end_by_themselves_nor_panic() {
        lacks(&Proof { crashes: 1, ..sound() }, "by themselves");
        lacks(&Proof { panics: 1, ..sound() }, "panics");
    }

    #[test]
    fn a_recovery_has_a_bound_that_grows_with_the_database_s_absence() {
        let late = sound().recovery_within() + Duration::from_millis(1);
        lacks(&Proof { longest_recovery: Some(late), ..sound() }, "longest recovery");
        let away = Proof { longest_recovery: Some(late), outage: Duration::from_secs(3), ..sound() };
        assert_eq!(away.shortcomings(), Vec::<String>::new());
    }
}
