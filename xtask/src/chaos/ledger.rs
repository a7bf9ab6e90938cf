//! The record of all requests, answers and external changes of a run. It is the basis of the checks at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// The name that is used only for rigs with a repository that sandboxes refuse.
pub(super) const REFUSED_RIG: &str = "nowhere";
/// Part of the address of a repository whose rig has unpushed work. Only a forced removal removes such a rig.
pub(super) const UNPUSHED: &str = "/unpushed/";

/// The result of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// Success.
    Given(T),
    /// An error with its code.
    Refused(String),
    /// No connection, or a connection that broke. The request may be carried out all the same.
    None,
}

/// All requests and answers of a run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ledger {
    /// Calls that succeeded.
    pub(super) given: u64,
    /// Calls that were answered with an error, by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Calls without an answer.
    pub(super) unanswered: u64,
    /// Towns that an answer named.
    pub(super) towns: BTreeSet<String>,
    /// Rigs that an answer named, with their towns.
    pub(super) rigs: BTreeMap<String, String>,
    /// Towns by the idempotency key of the request that they answered.
    pub(super) by_key: BTreeMap<String, BTreeSet<String>>,
    /// Towns whose destroy was requested; true if an answer confirmed it.
    pub(super) destroys: BTreeMap<String, bool>,
    /// Rigs whose removal was requested, with the furthest progress that was answered.
    pub(super) removals: BTreeMap<String, Removal>,
    pub(super) external: ExternalChanges,
}

/// The progress of a rig's removal, by the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Removal {
    /// Requested, and not confirmed.
    Requested,
    /// Confirmed, and carried out unless work would be lost.
    Pending,
    /// Removed.
    Done,
}

/// Changes on Fly that no client requested and that the control plane has to find out.
#[derive(Debug, Default, Serialize)]
pub(super) struct ExternalChanges {
    /// The number of machines that ended, were stopped, or were destroyed.
    pub(super) machines: u64,
    /// Towns of which a machine was destroyed.
    pub(super) towns_without_machine: BTreeSet<String>,
    /// Volumes that were lost.
    pub(super) volumes: BTreeSet<String>,
}

impl Ledger {
    /// Counts an answer.
    pub(super) fn count<T>(&mut self, answer: &Answer<T>) {
        match answer {
            Answer::Given(_) => self.given += 1,
            Answer::Refused(code) => *self.refused.entry(code.clone()).or_default() += 1,
            Answer::None => self.unanswered += 1,
        }
    }

    /// Records the town that answered a create with this key.
    pub(super) fn created(&mut self, key: &str, town: &str) {
        self.towns.insert(town.to_owned());
        self.by_key.entry(key.to_owned()).or_default().insert(town.to_owned());
    }

    /// Records a rig that an answer named.
    pub(super) fn rig(&mut self, town: &str, rig: &str) {
        self.rigs.insert(rig.to_owned(), town.to_owned());
    }

    /// Records the request for a destroy, or its confirmation.
    pub(super) fn destroy(&mut self, town: &str, confirmed: bool) {
        *self.destroys.entry(town.to_owned()).or_default() |= confirmed;
    }

    /// Records the progress of a removal. It never goes back.
    pub(super) fn removal(&mut self, rig: &str, progress: Removal) {
        let known = self.removals.entry(rig.to_owned()).or_insert(progress);
        *known = progress.max(*known);
    }

    pub(super) fn calls(&self) -> u64 {
        self.given + self.refused.values().sum::<u64>() + self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_is_never_taken_back() {
        let mut ledger = Ledger::default();
        ledger.destroy("t", false);
        assert!(!ledger.destroys["t"]);
        ledger.destroy("t", true);
        ledger.destroy("t", false);
        assert!(ledger.destroys["t"]);
        ledger.removal("r", Removal::Requested);
        ledger.removal("r", Removal::Done);
        ledger.removal("r", Removal::Pending);
        assert_eq!(ledger.removals["r"], Removal::Done);
    }
}
