//! One of Fly's buckets: its limit, and who waits for it, in order. Decides, never waits.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{sync::Notify, time::Instant};

use super::Urgency;
use crate::settings::Rate;

/// Tokio's clock, so that limits and sleeps agree, on paused time too.
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

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// Names one that waits, in the bucket it waits for.
pub(super) type Ticket = u64;

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) since: Instant,
    /// Tells it that it has become the first.
    pub(super) first: Arc<Notify>,
}

/// What one that waits is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The call goes; it waits no more.
    Go,
    /// It is the first, and there is room then.
    At(Instant),
    /// Others come before it.
    InLine,
}

#[derive(Debug)]
pub(super) struct Bucket {
    limiter: Limiter,
    clock: TokioClock,
    rate: Rate,
    foreground: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    /// No call goes earlier, as far as is known.
    opens: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, clock: TokioClock) -> Self {
        let limiter = RateLimiter::direct_with_clock(rate.quota(), clock);
        Self { limiter, clock, rate, foreground: VecDeque::new(), background: VecDeque::new(), opens: Instant::now() }
    }

    /// How many wait in a line.
    pub(super) fn waiting(&self, urgency: Urgency) -> usize {
        match urgency {
            Urgency::Foreground => self.foreground.len(),
            Urgency::Background => self.background.len(),
        }
    }

    /// Since when the one that waits longest does so.
    pub(super) fn longest_since(&self) -> Option<Instant> {
        self.foreground.front().into_iter().chain(self.background.front()).map(|waiter| waiter.since).min()
    }

    /// How long a newcomer would wait, if nobody more urgent came after it.
    pub(super) fn wait_of_newcomer(&self, urgency: Urgency, now: Instant) -> Duration {
        let before = match urgency {
            Urgency::Foreground => self.foreground.len(),
            Urgency::Background => self.foreground.len() + self.background.len(),
        };
        self.wait_behind(before, now)
    }

    /// How long one that waits will still do so, if nobody more urgent comes after it.
    pub(super) fn wait_of(&self, ticket: Ticket, now: Instant) -> Duration {
        let line = self.foreground.iter().chain(&self.background);
        self.wait_behind(line.take_while(|waiter| waiter.ticket != ticket).count(), now)
    }

    /// How long the last that waits will still do so.
    pub(super) fn wait_of_last(&self, now: Instant) -> Duration {
        self.wait_behind((self.foreground.len() + self.background.len()).saturating_sub(1), now)
    }

    fn wait_behind(&self, before: usize, now: Instant) -> Duration {
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        self.opens.saturating_duration_since(now) + self.rate.period().saturating_mul(before)
    }

    pub(super) fn join(&mut self, waiter: Waiter, urgency: Urgency) {
        match urgency {
            Urgency::Foreground => self.foreground.push_back(waiter),
            Urgency::Background => self.background.push_back(waiter),
        }
    }

    /// One that waits asks whether it may go. Only the first may, and only when there is room.
    pub(super) fn ask(&mut self, ticket: Ticket, now: Instant) -> Turn {
        if self.first().is_none_or(|first| first.ticket != ticket) {
            return Turn::InLine;
        }
        if now < self.opens {
            return Turn::At(self.opens);
        }
        match self.limiter.check() {
            Ok(()) => {
                // What it took comes back only from now on.
                self.opens = now;
                self.leave(ticket);
                Turn::Go
            }
            Err(not_yet) => {
                self.opens = now + not_yet.wait_time_from(self.clock.now());
                Turn::At(self.opens)
            }
        }
    }

    /// One that waits waits no more, by going or by giving up. Safe to repeat.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        let was_first = self.first().is_some_and(|first| first.ticket == ticket);
        self.foreground.retain(|waiter| waiter.ticket != ticket);
        self.background.retain(|waiter| waiter.ticket != ticket);
        if was_first && let Some(next) = self.first() {
            next.first.notify_one();
        }
    }

    /// Fly has counted more calls than we have: nobody goes for so long, and what we held for a burst is spent.
    pub(super) fn close_for(&mut self, pause: Duration, now: Instant) {
        while self.limiter.check().is_ok() {}
        self.opens = self.opens.max(now + pause);
    }

    /// Whether it remembers anything: one that nobody waits for and whose limit is untouched is like a new one.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.first().is_none() && self.opens + self.rate.refill() <= now
    }

    fn first(&self) -> Option<&Waiter> {
        self.foreground.front().or_else(|| self.background.front())
    }
}
