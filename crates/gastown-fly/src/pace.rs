//! Holds calls back to Fly's limits, so that Fly need not refuse: per action and identifier, as Fly counts.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference},
    middleware::NoOpMiddleware,
    state::keyed::DashMapStateStore,
};

use crate::{
    api::{Action, Call},
    settings::{Pacing, Rate, Rates},
};

type Key = (Action, String);
type Limiter<C> = RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// How many calls go by between two clean-ups of identifiers that were not used lately.
const CALLS_BETWEEN_CLEAN_UPS: usize = 1024;

/// The limiter. Shared by all calls of one client; replicas are not known to each other and meet Fly's own 429.
pub(crate) struct Pace<C: Clock = MonotonicClock>(Option<Limits<C>>);

struct Limits<C: Clock> {
    action: Limiter<C>,
    get_machine: Limiter<C>,
    clock: C,
    longest_delay: Duration,
    calls: AtomicUsize,
}

/// The call would be held back longer than is bearable. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// When there is room again.
    pub(crate) retry_after: Duration,
}

impl Pace {
    pub(crate) fn new(pacing: Pacing) -> Self {
        Self::with_clock(pacing, &MonotonicClock)
    }

    /// Waits for the call's turn.
    pub(crate) async fn turn(&self, call: &Call) -> Result<(), HeldBack> {
        let key = (call.action(), call.identifier().to_owned());
        let mut waited = Duration::ZERO;
        while let Some(delay) = self.ask(&key, waited)? {
            tokio::time::sleep(delay).await;
            waited += delay;
        }
        Ok(())
    }
}

impl<C: Clock + Clone> Pace<C> {
    fn with_clock(pacing: Pacing, clock: &C) -> Self {
        let Pacing::On(Rates { action, get_machine, longest_delay }) = pacing else { return Self(None) };
        let limiter = |rate: Rate| {
            let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
            RateLimiter::dashmap_with_clock(quota, clock.clone())
        };
        Self(Some(Limits {
            action: limiter(action),
            get_machine: limiter(get_machine),
            clock: clock.clone(),
            longest_delay,
            calls: AtomicUsize::new(0),
        }))
    }

    /// `None`: go. `Some`: ask again after that long. `Err`: it would take too long in all.
    fn ask(&self, key: &Key, waited: Duration) -> Result<Option<Duration>, HeldBack> {
        let Some(limits) = &self.0 else { return Ok(None) };
        let limiter = if key.0 == Action::GetMachine { &limits.get_machine } else { &limits.action };
        if limits.calls.fetch_add(1, Ordering::Relaxed) % CALLS_BETWEEN_CLEAN_UPS == CALLS_BETWEEN_CLEAN_UPS - 1 {
            limits.action.retain_recent();
            limits.get_machine.retain_recent();
        }
        let Err(not_yet) = limiter.check_key(key) else { return Ok(None) };
        let delay = Duration::from(not_yet.earliest_possible().duration_since(limits.clock.now()));
        if waited + delay > limits.longest_delay {
            return Err(HeldBack { retry_after: delay });
        }
        Ok(Some(delay))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::api::machines;

    fn pace() -> (Pace<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Pace::with_clock(Pacing::On(Rates::default()), &clock), clock)
    }

    fn key(action: Action, id: &str) -> Key {
        (action, id.to_owned())
    }

    #[test]
    fn a_burst_of_three_goes_then_one_a_second() {
        let (pace, clock) = pace();
        let stop = key(Action::StopMachine, "m1");
        for _ in 0..3 {
            assert_eq!(pace.ask(&stop, Duration::ZERO), Ok(None));
        }
        assert_eq!(pace.ask(&stop, Duration::ZERO), Ok(Some(Duration::from_secs(1))));
        clock.advance(Duration::from_secs(1));
        assert_eq!(pace.ask(&stop, Duration::ZERO), Ok(None));
        assert!(pace.ask(&stop, Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn other_actions_and_other_machines_have_buckets_of_their_own() {
        let (pace, _) = pace();
        for _ in 0..3 {
            assert_eq!(pace.ask(&key(Action::StopMachine, "m1"), Duration::ZERO), Ok(None));
        }
        assert!(pace.ask(&key(Action::StopMachine, "m1"), Duration::ZERO).unwrap().is_some());
        assert_eq!(pace.ask(&key(Action::StopMachine, "m2"), Duration::ZERO), Ok(None));
        assert_eq!(pace.ask(&key(Action::StartMachine, "m1"), Duration::ZERO), Ok(None));
    }

    #[test]
    fn reading_a_machine_may_burst_to_ten() {
        let (pace, _) = pace();
        let get = key(Action::GetMachine, "m1");
        for _ in 0..10 {
            assert_eq!(pace.ask(&get, Duration::ZERO), Ok(None));
        }
        assert_eq!(pace.ask(&get, Duration::ZERO), Ok(Some(Duration::from_millis(200))));
    }

    #[test]
    fn a_call_is_not_held_back_longer_than_allowed() {
        let (pace, _) = pace();
        let create = key(Action::CreateMachine, "mill");
        for _ in 0..3 {
            assert_eq!(pace.ask(&create, Duration::ZERO), Ok(None));
        }
        let waited = Duration::from_millis(19_500);
        assert_eq!(pace.ask(&create, waited), Err(HeldBack { retry_after: Duration::from_secs(1) }));
    }

    #[test]
    fn what_is_off_holds_nothing_back() {
        let pace = Pace::with_clock(Pacing::Off, &FakeRelativeClock::default());
        for _ in 0..100 {
            assert_eq!(pace.ask(&key(Action::CreateMachine, "mill"), Duration::ZERO), Ok(None));
        }
    }

    #[tokio::test]
    async fn the_call_itself_names_its_bucket() {
        let pace = Pace::new(Pacing::On(Rates::default()));
        for _ in 0..3 {
            pace.turn(&machines::start("mill", "m1")).await.unwrap();
        }
        assert!(pace.ask(&key(Action::StartMachine, "m1"), Duration::ZERO).unwrap().is_some());
        assert_eq!(pace.ask(&key(Action::StartMachine, "mill"), Duration::ZERO), Ok(None));
    }
}
