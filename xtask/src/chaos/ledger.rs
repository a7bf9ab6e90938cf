//! What clients asked for and were told, and what happened behind everybody's back. Whoever was told a thing can come back
//! for it, and nothing is removed that nobody asked to have removed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// The name of every rig that is asked for with a repository that sandboxes refuse, and of no other.
pub(super) const REFUSED_RIG: &str = "nowhere";
/// Part of the address of a repository whose rig has work that would be lost: only force removes it.
pub(super) const UNPUSHED: &str = "/unpushed/";

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// What was asked for.
    Given(T),
    /// No, and the code that says why.
    Refused(String),
    /// Nothing: nobody there, or broken off. What was asked for may happen all the same.
    None,
}

/// Everything that was asked and answered.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ledger {
    /// Calls that were answered with what they asked for.
    pub(super) given: u64,
    /// Calls that were refused or failed, by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Calls without an answer.
    pub(super) unanswered: u64,
    /// Towns that somebody was told of.
    pub(super) towns: BTreeSet<String>,
    /// Rigs that somebody was told of, with their towns.
    pub(super) rigs: BTreeMap<String, String>,
    /// Towns by the idempotency key that they were answered for.
    pub(super) by_key: BTreeMap<String, BTreeSet<String>>,
    /// Towns that somebody asked to have destroyed, and whether that was answered with yes.
    pub(super) destroys: BTreeMap<String, bool>,
    /// Rigs that somebody asked to have removed, and the best answer to it.
    pub(super) removals: BTreeMap<String, Removal>,
    pub(super) mischief: Mischief,
}

/// How far the removal of a rig was said to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Removal {
    /// It was asked for, and not answered with yes.
    Asked,
    /// It will be removed, where no work is lost by that.
    Pending,
    /// It is removed.
    Done,
}

/// What nobody asked for and the control plane was not told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Mischief {
    /// Machines that ended, were stopped, or went.
    pub(super) machines: u64,
    /// Towns of which a machine went for good.
    pub(super) bereft: BTreeSet<String>,
    /// Volumes that were lost.
    pub(super) volumes: BTreeSet<String>,
}

impl Ledger {
    /// Counts the answer.
    pub(super) fn count<T>(&mut self, answer: &Answer<T>) {
        match answer {
            Answer::Given(_) => self.given += 1,
            Answer::Refused(code) => *self.refused.entry(code.clone()).or_default() += 1,
            Answer::None => self.unanswered += 1,
        }
    }

    /// A create of this key was answered with this town.
    pub(super) fn created(&mut self, key: &str, town: &str) {
        self.towns.insert(town.to_owned());
        self.by_key.entry(key.to_owned()).or_default().insert(town.to_owned());
    }

    /// A rig was answered, or shown.
    pub(super) fn rig(&mut self, town: &str, rig: &str) {
        self.rigs.insert(rig.to_owned(), town.to_owned());
    }

    /// A destroy is being asked for, or was answered with yes.
    pub(super) fn destroy(&mut self, town: &str, answered: bool) {
        *self.destroys.entry(town.to_owned()).or_default() |= answered;
    }

    /// A rig's removal is being asked for, or was answered.
    pub(super) fn removal(&mut self, rig: &str, come: Removal) {
        let known = self.removals.entry(rig.to_owned()).or_insert(come);
        *known = come.max(*known);
    }

    pub(super) fn calls(&self) -> u64 {
        self.given + self.refused.values().sum::<u64>() + self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_once_stays_answered() {
        let mut ledger = Ledger::default();
        ledger.destroy("t", false);
        assert!(!ledger.destroys["t"]);
        ledger.destroy("t", true);
        ledger.destroy("t", false);
        assert!(ledger.destroys["t"]);
        ledger.removal("r", Removal::Asked);
        ledger.removal("r", Removal::Done);
        ledger.removal("r", Removal::Pending);
        assert_eq!(ledger.removals["r"], Removal::Done);
    }
}
