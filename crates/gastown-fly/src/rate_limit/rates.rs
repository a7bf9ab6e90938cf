//! The rates of Fly's limits, and the share of one replica.

use std::{fmt, num::NonZeroU32, time::Duration};

use governor::Quota;

use crate::api::{Action, Subject};

/// The client's own limit on its calls, per action and machine or app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimiting {
    /// No limit: for a simulator, or where a proxy limits.
    Off,
    /// These rates.
    On(Rates),
}

impl Default for RateLimiting {
    /// Returns Fly's own limits.
    fn default() -> Self {
        Self::On(Rates::default())
    }
}

/// The rates of [`RateLimiting::On`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The rate of each action, in the order of [`Action::ALL`].
    of_actions: [Rate; Action::ALL.len()],
    /// The longest time a call waits in a queue. A call that would wait longer is refused.
    pub max_wait: Duration,
    /// The most calls in a queue, foreground and background each.
    pub max_waiting: usize,
}

impl Rates {
    /// Returns the same rates with another one for this action.
    #[must_use]
    pub fn with(mut self, action: Action, rate: Rate) -> Self {
        self.of_actions[action as usize] = rate;
        self
    }

    /// Returns the share of one of `replicas`, which do not coordinate.
    ///
    /// Replicas share the limits of an app, or of no app. They do not share those of a machine, because one process works on
    /// a machine at a time.
    #[must_use]
    pub fn shared_by(self, replicas: NonZeroU32) -> Self {
        self.map_shared(|rate| rate.shared_by(replicas)).with_max_wait(self.max_wait)
    }

    /// Returns the same rates with another longest wait.
    ///
    /// The share of an app's rate is at least one call in that time. Otherwise a second call in a row, as in a look-up of
    /// a town's machines, would never be admitted. With very many replicas Fly refuses what exceeds its limit.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        let slowest = max_wait.max(USUAL.period());
        Self { max_wait, ..self.map_shared(|rate| rate.at_least_every(slowest)) }
    }

    /// Changes the rates of the actions that replicas share.
    fn map_shared(mut self, change: impl Fn(Rate) -> Rate) -> Self {
        for action in Action::ALL.into_iter().filter(|action| action.subject() != Subject::Machine) {
            self = self.with(action, change(self.of(action)));
        }
        self
    }

    /// Returns the rate of an action.
    pub fn of(&self, action: Action) -> Rate {
        self.of_actions[action as usize]
    }
}

/// Fly's limit of most actions.
const USUAL: Rate = Rate::of(1, 3);
/// Fly's limit of reads of one machine.
const GET_MACHINE: Rate = Rate::of(5, 10);

impl Default for Rates {
    /// Fly's own limits: 1/s with a burst of 3, and 5/s with a burst of 10 to read a machine. A call waits at most 20 s,
    /// in a queue of at most 200.
    fn default() -> Self {
        let usual =
            Self { of_actions: [USUAL; Action::ALL.len()], max_wait: Duration::from_secs(20), max_waiting: 200 };
        usual.with(Action::GetMachine, GET_MACHINE)
    }
}

/// A sustained rate with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time between two calls, in microseconds.
    period: u32,
    /// The calls at once after a pause.
    burst: NonZeroU32,
}

impl Rate {
    /// A rate of `calls` a second, with `burst` calls at once after a pause.
    pub const fn per_second(calls: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { period: 1_000_000 / calls.get(), burst }
    }

    /// Returns one of `parts`. The burst is rounded down, but not below one.
    fn shared_by(self, parts: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(self.burst.get() / parts).unwrap_or(NonZeroU32::MIN);
        Self { period: self.period.saturating_mul(parts.get()), burst }
    }

    /// Returns the same rate, or one call in `period` if the rate is slower than that.
    fn at_least_every(self, period: Duration) -> Self {
        let period = u32::try_from(period.as_micros()).unwrap_or(u32::MAX);
        Self { period: self.period.min(period), ..self }
    }

    /// Returns the time between two calls at the sustained rate.
    pub(super) fn period(self) -> Duration {
        Duration::from_micros(self.period.max(1).into())
    }

    /// Returns how long an empty bucket takes to fill.
    pub(super) fn refill(self) -> Duration {
        self.period().saturating_mul(self.burst.get())
    }

    pub(super) fn quota(self) -> Quota {
        // The period is never zero.
        let quota = Quota::with_period(self.period()).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        quota.allow_burst(self.burst)
    }

    const fn of(calls: u32, burst: u32) -> Self {
        let (Some(calls), Some(burst)) = (NonZeroU32::new(calls), NonZeroU32::new(burst)) else {
            panic!("the rate is zero");
        };
        Self::per_second(calls, burst)
    }
}

impl fmt::Display for Rate {
    /// Writes the time between two calls, and the burst.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1 call in {:?}, at most {} at once", self.period(), self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_by(replicas: u32) -> Rates {
        Rates::default().shared_by(NonZeroU32::new(replicas).unwrap())
    }

    #[test]
    fn rates_are_shown_with_their_burst() {
        let shown = |action| shared_by(4).of(action).to_string();
        assert_eq!(shown(Action::CreateMachine), "1 call in 4s, at most 1 at once");
        assert_eq!(shown(Action::GetMachine), "1 call in 200ms, at most 10 at once");
    }

    #[test]
    fn replicas_share_the_rate_of_an_app_only() {
        let ms = Duration::from_millis;
        let whole = Rates::default();
        for (replicas, period, burst) in [(1, 1_000, 3), (2, 2_000, 1), (3, 3_000, 1), (20, 20_000, 1)] {
            let rates = shared_by(replicas);
            for action in
                [Action::ListVolumes, Action::ListMachines, Action::GetApp, Action::ListApps, Action::GetVolume]
            {
                let rate = rates.of(action);
                assert_eq!((rate.period(), rate.burst.get()), (ms(period), burst), "{action:?}");
            }
            for action in [Action::StartMachine, Action::GetMachine, Action::DestroyMachine, Action::WaitMachine] {
                assert_eq!(rates.of(action), whole.of(action), "{action:?}");
            }
        }
        assert_eq!(shared_by(1), whole);
        assert_eq!(whole.of(Action::GetMachine).period(), ms(200));
    }

    #[test]
    fn each_action_has_its_own_rate() {
        for changed in Action::ALL {
            let rates = Rates::default().with(changed, Rate::of(7, 9));
            for action in Action::ALL {
                let want = if action == changed { Rate::of(7, 9) } else { Rates::default().of(action) };
                assert_eq!(rates.of(action), want, "{action:?} after a change of {changed:?}");
            }
        }
    }

    #[test]
    fn a_share_admits_two_calls_in_a_row_within_the_longest_wait() {
        let usual = Rates::default().of(Action::ListMachines).period();
        for replicas in 1..=100 {
            for longest in [5, 15, 20].map(Duration::from_secs) {
                let rates = shared_by(replicas).with_max_wait(longest);
                let period = rates.of(Action::ListMachines).period();
                assert_eq!(rates.max_wait, longest);
                assert!((usual..=longest).contains(&period), "{replicas}: {rates:?}");
            }
        }
        let no_wait = shared_by(20).with_max_wait(Duration::ZERO);
        let period = no_wait.of(Action::ListMachines).period();
        assert_eq!((no_wait.max_wait, period), (Duration::ZERO, Duration::from_secs(1)));
    }
}
