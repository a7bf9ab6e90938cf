//! The rates of Fly's limits, and the share of one replica.

use std::{num::NonZeroU32, time::Duration};

use governor::Quota;

use crate::api::{Action, Call};

/// The client's own limit on its calls, per action and machine or app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimiting {
    /// No limit: for a simulator, or where a proxy limits.
    Off,
    /// These rates.
    On(Rates),
}

/// The rates of [`RateLimiting::On`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Most actions on one machine. Replicas do not share it, because one process works on a machine at a time.
    pub machine: Rate,
    /// Reads of one machine.
    pub get_machine: Rate,
    /// Actions on an app, or on none.
    pub app: Rate,
    /// The longest time a call waits in a queue. A call that would wait longer is refused.
    pub max_wait: Duration,
    /// The most calls in a queue, foreground and background each.
    pub max_waiting: usize,
}

impl Rates {
    /// Returns the share of one of `replicas`. Fly counts by organization, and replicas do not coordinate.
    #[must_use]
    pub fn shared_by(self, replicas: NonZeroU32) -> Self {
        Self { app: self.app.shared_by(replicas), ..self }.with_max_wait(self.max_wait)
    }

    /// Returns the same rates with another longest wait.
    ///
    /// The share of an app's rate is at least one call in that time. Otherwise a second call in a row, as in a look-up of
    /// a town's machines, would never be admitted. With very many replicas Fly refuses what exceeds its limit.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        let app = self.app.at_least_every(max_wait.max(self.machine.period()));
        Self { app, max_wait, ..self }
    }

    /// Returns the rate of a call.
    pub(super) fn of(&self, call: &Call) -> Rate {
        match (call.action(), call.machine()) {
            (Action::GetMachine, _) => self.get_machine,
            (_, Some(_)) => self.machine,
            (_, None) => self.app,
        }
    }
}

impl Default for Rates {
    /// Fly's own limits: 1/s with a burst of 3, and 5/s with a burst of 10 to read a machine. A call waits at most 20 s,
    /// in a queue of at most 200.
    fn default() -> Self {
        const USUAL: Rate = Rate::of(1, 3);
        const GET_MACHINE: Rate = Rate::of(5, 10);
        Self {
            machine: USUAL,
            get_machine: GET_MACHINE,
            app: USUAL,
            max_wait: Duration::from_secs(20),
            max_waiting: 200,
        }
    }
}

/// A sustained rate with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Quota);

impl Rate {
    /// A rate of `calls` a second, with `burst` calls at once after a pause.
    pub const fn per_second(calls: NonZeroU32, burst: NonZeroU32) -> Self {
        Self(Quota::per_second(calls).allow_burst(burst))
    }

    /// Returns one of `parts`. The burst is rounded down, but not below one.
    fn shared_by(self, parts: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(self.0.burst_size().get() / parts).unwrap_or(NonZeroU32::MIN);
        let shared = Quota::with_period(self.period().saturating_mul(parts.get()));
        Self(shared.unwrap_or(self.0).allow_burst(burst))
    }

    /// Returns the same rate, or one call in `period` if the rate is slower than that.
    fn at_least_every(self, period: Duration) -> Self {
        let faster = Quota::with_period(period).filter(|_| self.period() > period);
        Self(faster.map_or(self.0, |quota| quota.allow_burst(self.0.burst_size())))
    }

    /// Returns the time between two calls at the sustained rate.
    pub(super) fn period(self) -> Duration {
        self.0.replenish_interval()
    }

    /// Returns how long an empty bucket takes to fill.
    pub(super) fn refill(self) -> Duration {
        self.period().saturating_mul(self.0.burst_size().get())
    }

    pub(super) const fn quota(self) -> Quota {
        self.0
    }

    const fn of(calls: u32, burst: u32) -> Self {
        let (Some(calls), Some(burst)) = (NonZeroU32::new(calls), NonZeroU32::new(burst)) else {
            panic!("the rate is zero");
        };
        Self::per_second(calls, burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{apps, machines, volumes};

    fn shared_by(replicas: u32) -> Rates {
        Rates::default().shared_by(NonZeroU32::new(replicas).unwrap())
    }

    #[test]
    fn replicas_share_the_rate_of_an_app_only() {
        let ms = Duration::from_millis;
        for (replicas, period, burst) in [(1, 1_000, 3), (2, 2_000, 1), (3, 3_000, 1), (20, 20_000, 1)] {
            let rates = shared_by(replicas);
            for call in [volumes::list("mill"), machines::list("mill", None), apps::get("mill"), apps::list("kilo")] {
                let rate = rates.of(&call);
                assert_eq!((rate.period(), rate.quota().burst_size().get()), (ms(period), burst), "{call:?}");
            }
            let whole = Rates::default();
            for call in [machines::start("mill", "m1"), machines::get("mill", "m1"), machines::destroy("mill", "m1")] {
                assert_eq!(rates.of(&call), whole.of(&call), "{call:?}");
            }
        }
        assert_eq!(shared_by(1), Rates::default());
        assert_eq!(Rates::default().of(&machines::get("mill", "m1")).period(), ms(200));
    }

    #[test]
    fn a_share_admits_two_calls_in_a_row_within_the_longest_wait() {
        for replicas in 1..=100 {
            for longest in [5, 15, 20].map(Duration::from_secs) {
                let rates = shared_by(replicas).with_max_wait(longest);
                assert_eq!(rates.max_wait, longest);
                assert!(rates.app.period() <= longest, "{replicas}: {rates:?}");
                assert!(rates.app.period() >= Rates::default().app.period(), "{replicas}: {rates:?}");
            }
        }
        let no_wait = shared_by(20).with_max_wait(Duration::ZERO);
        assert_eq!((no_wait.max_wait, no_wait.app.period()), (Duration::ZERO, Duration::from_secs(1)));
    }
}
