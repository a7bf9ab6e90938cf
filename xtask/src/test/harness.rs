//! The two programs that run tests, and what can be read from their logs.

use super::slowest::{self, Timed};
use super::tally::{self, Tally};

/// A program that runs tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harness {
    /// The one that every toolchain has. It gives the time of a test program, not of a test.
    Libtest,
    /// `cargo nextest`: a process per test, each with its time.
    Nextest,
}

/// The tests of a step.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) tally: Tally,
    pub(super) times: Vec<Timed>,
}

impl Ran {
    /// Adds what the log of one more run says.
    pub(super) fn read(&mut self, harness: Harness, log: &str) {
        let (tally, times) = match harness {
            Harness::Libtest => (tally::of_libtest(log), slowest::of_libtest(log)),
            Harness::Nextest => (tally::of_nextest(log), slowest::of_nextest(log)),
        };
        self.tally = self.tally + tally;
        self.times.extend(times);
    }
}
