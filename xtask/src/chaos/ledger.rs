//! What clients were told. Whoever was told a thing can come back for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

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

/// Everything that was answered.
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

    /// A rig was answered.
    pub(super) fn rig(&mut self, town: &str, rig: &str) {
        self.rigs.insert(rig.to_owned(), town.to_owned());
    }

    pub(super) fn calls(&self) -> u64 {
        self.given + self.refused.values().sum::<u64>() + self.unanswered
    }
}
