//! One of Fly's rate limits and the calls that wait for it, in order. Decides and never waits.

use std::time::Duration;

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use super::{
    priority::Priority,
    rates::Rate,
    turns::{Ticket, Turn, Turns, Waiter},
};

/// Tokio's clock, so that limits and sleeps agree on paused time too.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limit = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// The answer to a waiting call that asks to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The call may be sent, and has left the queue.
    Admitted,
    /// The call is the first, and has to wait until then.
    NotBefore(Instant),
    /// Other calls come before it.
    Queued,
}

#[derive(Debug)]
pub(super) struct Bucket {
    limit: Limit,
    clock: TokioClock,
    rate: Rate,
    foreground: Turns,
    background: Turns,
    /// The earliest time of the next call, as far as is known.
    opens_at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, clock: TokioClock) -> Self {
        let limit = RateLimiter::direct_with_clock(rate.quota(), clock);
        let (foreground, background) = (Turns::default(), Turns::default());
        Self { limit, clock, rate, foreground, background, opens_at: Instant::now() }
    }

    /// Returns the number of waiting calls of a priority.
    pub(super) fn waiting(&self, priority: Priority) -> usize {
        match priority {
            Priority::Foreground => self.foreground.len(),
            Priority::Background => self.background.len(),
        }
    }

    /// Returns the number of waiting calls.
    pub(super) fn len(&self) -> usize {
        self.foreground.len() + self.background.len()
    }

    /// Returns the time at which the oldest waiting call arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.foreground.oldest().into_iter().chain(self.background.oldest()).min()
    }

    /// Returns how long a new call would wait, if no foreground call and no other user arrives after it.
    pub(super) fn wait_of_new(&self, priority: Priority, turn: &Turn, now: Instant) -> Duration {
        let before = match priority {
            Priority::Foreground => self.foreground.before_new(turn),
            Priority::Background => self.foreground.len() + self.background.before_new(turn),
        };
        self.wait_behind(before, now)
    }

    /// Returns how long a waiting call will still wait, if no foreground call arrives.
    pub(super) fn wait_of(&self, ticket: Ticket, now: Instant) -> Duration {
        let in_background = || self.background.before_waiting(ticket).map(|before| self.foreground.len() + before);
        let before = self.foreground.before_waiting(ticket).or_else(in_background);
        self.wait_behind(before.unwrap_or_else(|| self.len()), now)
    }

    /// Returns how long the last waiting call will still wait, if no foreground call arrives.
    pub(super) fn wait_of_last(&self, now: Instant) -> Duration {
        self.wait_behind(self.len().saturating_sub(1), now)
    }

    fn wait_behind(&self, before: usize, now: Instant) -> Duration {
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        self.opens_at.saturating_duration_since(now) + self.rate.period().saturating_mul(before)
    }

    /// Appends a call to those of its user.
    pub(super) fn push(&mut self, waiter: Waiter, priority: Priority, turn: &Turn) {
        match priority {
            Priority::Foreground => self.foreground.push(waiter, turn),
            Priority::Background => self.background.push(waiter, turn),
        }
    }

    /// Admits a waiting call if it is the first and the limit has room.
    pub(super) fn try_admit(&mut self, ticket: Ticket, now: Instant) -> Admission {
        if self.first().is_none_or(|first| first.ticket != ticket) {
            return Admission::Queued;
        }
        if now < self.opens_at {
            return Admission::NotBefore(self.opens_at);
        }
        match self.limit.check() {
            Ok(()) => {
                // The limit refills from now on.
                self.opens_at = now;
                self.admit_first();
                Admission::Admitted
            }
            Err(not_yet) => {
                self.opens_at = now + not_yet.wait_time_from(self.clock.now());
                Admission::NotBefore(self.opens_at)
            }
        }
    }

    fn admit_first(&mut self) {
        if self.foreground.first().is_some() {
            self.foreground.admit();
        } else {
            self.background.admit();
        }
        self.notify_first();
    }

    /// Removes a call that gave up. Safe to repeat, and for a call that was admitted.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        let was_first = self.first().is_some_and(|first| first.ticket == ticket);
        self.foreground.remove(ticket);
        self.background.remove(ticket);
        if was_first {
            self.notify_first();
        }
    }

    fn notify_first(&self) {
        if let Some(first) = self.first() {
            first.is_first.notify_one();
        }
    }

    /// Admits no call for `pause` and spends the burst, because Fly has counted more calls than we have.
    pub(super) fn block_for(&mut self, pause: Duration, now: Instant) {
        while self.limit.check().is_ok() {}
        self.opens_at = self.opens_at.max(now + pause);
    }

    /// Returns true if the bucket is equal to a new one: no call waits and the limit is full.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.first().is_none() && self.opens_at + self.rate.refill() <= now
    }

    fn first(&self) -> Option<&Waiter> {
        self.foreground.first().or_else(|| self.background.first())
    }
}
