//! One test case: a scenario, and the faults that are injected into its calls.

use std::sync::MutexGuard;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fixture::Fixture;
use super::scenario::Scenario;
use crate::faults::{Call, Fault, InjectedFault, Schedule, listed};
use crate::process::HANG;

listed! {
    /// A kind of connection whose calls are counted.
    Channel {
        /// To Fly and the sandboxes.
        Provider,
        /// To the registry.
        Registry,
    }
}

impl Channel {
    fn schedule(self, fixture: &Fixture) -> MutexGuard<'_, Schedule> {
        match self {
            Self::Provider => fixture.bench.fly.schedule(),
            Self::Registry => fixture.bench.store.schedule(),
        }
    }
}

/// A fault and its place: the `at`th call of a channel, counted from the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injection {
    pub(super) channel: Channel,
    pub(super) at: usize,
    pub(super) call: Call,
    pub(super) fault: Fault,
}

/// A test case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) scenario: Scenario,
    pub(super) injections: Vec<Injection>,
}

/// The calls of a case on one channel.
pub(super) struct Calls {
    pub(super) channel: Channel,
    /// The calls of the scenario, followed by those of the recovery.
    pub(super) all: Vec<Call>,
    times: Vec<Instant>,
    /// The number of calls that the scenario made.
    pub(super) before_recovery: usize,
}

/// The result of a case.
pub(super) struct CaseReport {
    pub(super) case: Case,
    pub(super) calls: Vec<Calls>,
    pub(super) injected: Vec<InjectedFault>,
    /// The number of sweeps until everything was quiet.
    pub(super) sweeps: usize,
}

impl Case {
    /// Returns true if a process hangs between its last registry call and a call to Fly.
    pub(super) fn hangs_at_fly(&self) -> bool {
        self.injections.iter().any(|it| it.fault == Fault::HangBefore && matches!(it.call, Call::Fly(_)))
    }

    pub(super) const fn undisturbed(scenario: Scenario) -> Self {
        Self { scenario, injections: Vec::new() }
    }

    /// Returns this case with one more fault.
    pub(super) fn with(&self, channel: Channel, at: usize, call: Call, fault: Fault) -> Self {
        let mut injections = self.injections.clone();
        injections.push(Injection { channel, at, call, fault });
        Self { scenario: self.scenario, injections }
    }

    /// Runs the scenario and the recovery. Asserts the invariants, and that every fault was injected.
    pub(super) async fn run(self) -> CaseReport {
        let fixture = self.scenario.set_up().await;
        for injection in &self.injections {
            injection.channel.schedule(&fixture).at(injection.at, injection.fault);
        }
        if self.injections.iter().any(|injection| injection.fault.hangs()) {
            // Another process takes over meanwhile. Then the stale holder continues, and may take a while.
            tokio::join!(self.scenario.run(&fixture), self.run_competitor(&fixture));
            sleep(HANG).await;
        } else {
            self.scenario.run(&fixture).await;
        }
        let before_recovery: Vec<_> =
            Channel::ALL.iter().map(|channel| channel.schedule(&fixture).journal.len()).collect();
        let sweeps = fixture.recover(&self).await;
        fixture.bench.assert_invariants_and_history(&self.to_string());
        self.assert_injected(&fixture);
        let calls = Channel::ALL.iter().zip(before_recovery).map(|(channel, before_recovery)| {
            let schedule = channel.schedule(&fixture);
            Calls { channel: *channel, all: schedule.journal.clone(), times: schedule.times.clone(), before_recovery }
        });
        let injected = Channel::ALL.iter().flat_map(|channel| channel.schedule(&fixture).injected.clone()).collect();
        CaseReport { calls: calls.collect(), injected, sweeps, case: self }
    }

    /// Runs another process from the moment at which one hangs.
    async fn run_competitor(&self, fixture: &Fixture) {
        let one_hangs = || {
            Channel::ALL
                .iter()
                .any(|channel| channel.schedule(fixture).injected.iter().any(|injected| injected.fault.hangs()))
        };
        for _ in 0..HANG.as_secs() {
            sleep(Duration::from_secs(1)).await;
            if one_hangs() {
                fixture.recover(self).await;
                return;
            }
        }
    }

    /// Asserts that each fault was injected into its intended call. A call that is not reached fails the test.
    fn assert_injected(&self, fixture: &Fixture) {
        for injection in &self.injections {
            let injected = injection.channel.schedule(fixture).injected.clone();
            let is_intended = |injected: &InjectedFault| {
                (injected.at, injected.call, injected.fault) == (injection.at, injection.call, injection.fault)
            };
            assert!(injected.iter().any(is_intended), "{self}: {injection:?} was not injected, only {injected:?}");
        }
    }
}

impl CaseReport {
    /// Returns the first calls of each channel after the last fault, in the scenario or in its recovery.
    pub(super) fn calls_after_the_fault(&self, at_most: usize) -> Vec<(Channel, usize, Call)> {
        let Some(injected_at) = self.injected.iter().map(|injected| injected.when).max() else { return Vec::new() };
        let mut after = Vec::new();
        for calls in &self.calls {
            let earlier = calls.times.iter().take_while(|time| **time <= injected_at).count();
            let later = calls.all.iter().copied().enumerate().skip(earlier).take(at_most);
            after.extend(later.map(|(at, call)| (calls.channel, at, call)));
        }
        after
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.scenario)?;
        for Injection { at, call, fault, .. } in &self.injections {
            write!(f, ", {fault:?} at call {at}, {call:?}")?;
        }
        Ok(())
    }
}
