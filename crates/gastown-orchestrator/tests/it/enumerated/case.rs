//! One history: a scenario, and what strikes it at which of its calls.

use std::sync::MutexGuard;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::scenario::Scenario;
use super::stage::Stage;
use crate::faults::{Call, Fault, Hit, Schedule, listed};
use crate::process::HANG;

listed! {
    /// Which calls are counted.
    Line {
        /// To Fly and the sandboxes.
        Provider,
        /// To the registry.
        Registry,
    }
}

impl Line {
    fn schedule(self, stage: &Stage) -> MutexGuard<'_, Schedule> {
        match self {
            Self::Provider => stage.bench.fly.schedule(),
            Self::Registry => stage.bench.store.schedule(),
        }
    }
}

/// What strikes, and where: the `at`th call of a line, counted from the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strike {
    pub(super) line: Line,
    pub(super) at: usize,
    pub(super) call: Call,
    pub(super) fault: Fault,
}

/// One history to be told.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) scenario: Scenario,
    pub(super) strikes: Vec<Strike>,
}

/// The calls of one line that a history made.
pub(super) struct Calls {
    pub(super) line: Line,
    /// Those until it was at its end, and after them those of the recovery.
    pub(super) all: Vec<Call>,
    times: Vec<Instant>,
    /// How many it made itself.
    pub(super) own: usize,
}

/// What came of a history.
pub(super) struct Told {
    pub(super) case: Case,
    pub(super) calls: Vec<Calls>,
    pub(super) hits: Vec<Hit>,
    /// Sweeps until all was quiet.
    pub(super) sweeps: usize,
}

impl Case {
    /// Whether a process stands still between its last word to the registry and what it asks Fly for.
    pub(super) fn hangs_at_fly(&self) -> bool {
        self.strikes.iter().any(|it| it.fault == Fault::HangBefore && matches!(it.call, Call::Fly(_)))
    }

    pub(super) const fn undisturbed(scenario: Scenario) -> Self {
        Self { scenario, strikes: Vec::new() }
    }

    /// The same, and something more strikes.
    pub(super) fn and(&self, line: Line, at: usize, call: Call, fault: Fault) -> Self {
        let mut strikes = self.strikes.clone();
        strikes.push(Strike { line, at, call, fault });
        Self { scenario: self.scenario, strikes }
    }

    /// Lets it happen, lets recovery run, and checks that all is well and that what was to strike has struck.
    pub(super) async fn tell(self) -> Told {
        let stage = self.scenario.stage().await;
        for strike in &self.strikes {
            strike.line.schedule(&stage).at(strike.at, strike.fault);
        }
        if self.strikes.iter().any(|strike| strike.fault.hangs()) {
            // Somebody else takes over meanwhile; then the stale holder goes on, and may do so for a while.
            tokio::join!(self.scenario.happen(&stage), self.rival(&stage));
            sleep(HANG).await;
        } else {
            self.scenario.happen(&stage).await;
        }
        let own: Vec<_> = Line::ALL.iter().map(|line| line.schedule(&stage).journal.len()).collect();
        let sweeps = stage.recover(&self).await;
        stage.bench.assert_kept_promises(&self.to_string());
        self.assert_struck(&stage);
        let calls = Line::ALL.iter().zip(own).map(|(line, own)| {
            let schedule = line.schedule(&stage);
            Calls { line: *line, all: schedule.journal.clone(), times: schedule.times.clone(), own }
        });
        let hits = Line::ALL.iter().flat_map(|line| line.schedule(&stage).hits.clone()).collect();
        Told { calls: calls.collect(), hits, sweeps, case: self }
    }

    /// Another process, from the moment on at which one hangs.
    async fn rival(&self, stage: &Stage) {
        let one_hangs = || Line::ALL.iter().any(|line| line.schedule(stage).hits.iter().any(|hit| hit.fault.hangs()));
        for _ in 0..HANG.as_secs() {
            sleep(Duration::from_secs(1)).await;
            if one_hangs() {
                stage.recover(self).await;
                return;
            }
        }
    }

    /// A fault point that is not reached fails the test: each strike hit the call that it was meant for.
    fn assert_struck(&self, stage: &Stage) {
        for strike in &self.strikes {
            let hits = strike.line.schedule(stage).hits.clone();
            let meant = |hit: &Hit| (hit.at, hit.call, hit.fault) == (strike.at, strike.call, strike.fault);
            assert!(hits.iter().any(meant), "{self}: not reached: {strike:?} in {hits:?}");
        }
    }
}

impl Told {
    /// The first calls of each line after the one that was struck, in the history or in its recovery.
    pub(super) fn calls_after_the_strike(&self, at_most: usize) -> Vec<(Line, usize, Call)> {
        let Some(struck_at) = self.hits.iter().map(|hit| hit.when).max() else { return Vec::new() };
        let mut after = Vec::new();
        for calls in &self.calls {
            let earlier = calls.times.iter().take_while(|time| **time <= struck_at).count();
            let later = calls.all.iter().copied().enumerate().skip(earlier).take(at_most);
            after.extend(later.map(|(at, call)| (calls.line, at, call)));
        }
        after
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.scenario)?;
        for Strike { at, call, fault, .. } in &self.strikes {
            write!(f, ", {fault:?} at call {at}, {call:?}")?;
        }
        Ok(())
    }
}
