//! The conditions under which a run without findings proves something.

use std::time::Duration;

use super::cuts::LENGTH as CUT;
use super::kills::{DOWNTIME, MAX_FROZEN, PAUSE};
use super::stage::{LEASE, SWEEP};
use crate::progress::Elapsed;

/// A shorter run may pass without a kill or a fault.
const LONG_ENOUGH: Duration = Duration::from_millis(3 * *PAUSE.end());
/// A shorter run may pass without a freeze or a cut.
const LONG_ENOUGH_FOR_ALL: Duration = Duration::from_secs(60);
/// Time for the worst case, in which all replicas are dead at once. They start slowly on a busy machine, and then all
/// their operations are due and queue for the permits.
const QUEUE: Duration = Duration::from_secs(45);

/// The events of a run.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    /// The time with load and faults.
    pub(super) storm: Duration,
    /// Operations that were accepted.
    pub(super) accepted: u64,
    pub(super) faults: usize,
    pub(super) kills: u64,
    /// Replicas that ended on their own.
    pub(super) crashes: u64,
    pub(super) panics: u64,
    /// True if the database is ours to disturb.
    pub(super) disturbs_database: bool,
    /// Freezes beyond the lease.
    pub(super) freezes: u64,
    /// Cuts of a replica's network to the database.
    pub(super) cuts: u64,
    pub(super) fail_overs: u64,
    /// The longest time without a database.
    pub(super) outage: Duration,
    /// The longest time that an operation of a killed replica waited for another replica.
    pub(super) longest_recovery: Option<Duration>,
}

impl Proof {
    /// Returns what the run lacks, and what it must not have.
    pub(super) fn shortcomings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.storm >= LONG_ENOUGH {
            let nothing =
                [("operations accepted", self.accepted), ("faults", self.faults as u64), ("kills", self.kills)];
            found.extend(nothing.into_iter().filter(|(_, count)| *count == 0).map(|(what, _)| format!("no {what}")));
        }
        if self.storm >= LONG_ENOUGH_FOR_ALL {
            let of_database = |count| if self.disturbs_database { count } else { 1 };
            let nothing = [
                ("freezes", self.freezes),
                ("cuts", of_database(self.cuts)),
                ("failovers", of_database(self.fail_overs)),
            ];
            found.extend(nothing.into_iter().filter(|(_, count)| *count == 0).map(|(what, _)| format!("no {what}")));
        }
        if self.crashes > 0 {
            found.push(format!("{} replicas crashed", self.crashes));
        }
        if self.panics > 0 {
            found.push(format!("{} panics in the logs", self.panics));
        }
        let bound = self.max_recovery();
        if let Some(longest) = self.longest_recovery.filter(|longest| *longest > bound) {
            found.push(format!("the longest recovery took {}, more than {}", Elapsed(longest), Elapsed(bound)));
        }
        found
    }

    /// Returns the limit for a recovery. The lease may have been renewed just before the kill. After it, the next sweep of
    /// any replica takes the operation over, unless all replicas or the database are down. One may be dead, one frozen and
    /// one cut off at once.
    pub(super) fn max_recovery(&self) -> Duration {
        let without_replica =
            MAX_FROZEN + Duration::from_millis(*CUT.end()).max(Duration::from_millis(*DOWNTIME.end()));
        LEASE + 3 * SWEEP + without_replica + self.outage + QUEUE
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
            disturbs_database: true,
            freezes: 2,
            cuts: 3,
            fail_overs: 2,
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
    fn a_run_with_kills_and_faults_and_short_recoveries_proves_something() {
        assert_eq!(sound().shortcomings(), Vec::<String>::new());
        assert_eq!(Proof { longest_recovery: None, ..sound() }.shortcomings(), Vec::<String>::new());
    }

    #[test]
    fn a_run_without_operations_faults_or_kills_proves_nothing() {
        lacks(&Proof { accepted: 0, ..sound() }, "operations accepted");
        lacks(&Proof { faults: 0, ..sound() }, "faults");
        lacks(&Proof { kills: 0, ..sound() }, "kills");
        lacks(&Proof { freezes: 0, ..sound() }, "freezes");
        lacks(&Proof { cuts: 0, ..sound() }, "cuts");
        lacks(&Proof { fail_overs: 0, ..sound() }, "failovers");
        let given = Proof { disturbs_database: false, cuts: 0, fail_overs: 0, ..sound() };
        assert_eq!(given.shortcomings(), Vec::<String>::new());
        let short = Proof { storm: Duration::from_secs(3), kills: 0, ..sound() };
        assert_eq!(short.shortcomings(), Vec::<String>::new());
    }

    #[test]
    fn a_crash_or_a_panic_is_a_shortcoming() {
        lacks(&Proof { crashes: 1, ..sound() }, "crashed");
        lacks(&Proof { panics: 1, ..sound() }, "panics");
    }

    #[test]
    fn the_limit_of_a_recovery_grows_with_the_outage() {
        let late = sound().max_recovery() + Duration::from_millis(1);
        lacks(&Proof { longest_recovery: Some(late), ..sound() }, "longest recovery");
        let away = Proof { longest_recovery: Some(late), outage: Duration::from_secs(3), ..sound() };
        assert_eq!(away.shortcomings(), Vec::<String>::new());
    }
}
