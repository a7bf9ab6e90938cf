//! Holds calls back to Fly's limits, so that Fly need not refuse: per action and machine or app, as Fly counts.
//!
//! Whoever waits stands in a line, first come first served; calls that nobody waits for stand behind all others. The
//! lines can be looked at, are bounded in length and in time, and forget at once who goes away.
//!
//! governor keeps the limits; the lines are ours, for it lets all that wait race for the next place.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Urgency,
    bucket::{Bucket, Ticket, TokioClock, Turn, Waiter},
};
use crate::{
    api::{Action, Call},
    settings::{Pacing, Rates},
};

type Key = (Action, String);

/// How many calls go by between two clean-ups of buckets that were not used lately.
const CALLS_BETWEEN_CLEAN_UPS: u64 = 1024;
/// A pause after a 429 that names none.
const USUAL_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause Fly is believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever waits longer is spoken of.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Calls that wait for one of Fly's buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// What they are about to do.
    pub action: Action,
    /// The machine or app that Fly counts them against; empty for calls on no app.
    pub subject: String,
    /// How many calls wait that somebody waits for.
    pub foreground: usize,
    /// How many wait behind these.
    pub background: usize,
    /// How long the longest of them has waited.
    pub longest: Duration,
    /// How long the last of them will still wait, if nobody more urgent comes.
    pub ahead: Duration,
}

/// The call would be held back longer than is bearable, or too many wait already. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// When there should be room, judging by who waits now.
    pub(crate) retry_after: Duration,
}

/// The limits of one client and its clones. Replicas are not known to each other: see [`Rates::shared_by`].
pub(crate) struct Pace(Option<Limits>);

struct Limits {
    rates: Rates,
    clock: TokioClock,
    /// Never held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: HashMap<Key, Bucket>,
    /// Tickets handed out so far.
    calls: Ticket,
}

impl Pace {
    pub(crate) fn new(pacing: Pacing) -> Self {
        Self(match pacing {
            Pacing::Off => None,
            Pacing::On(rates) => Some(Limits { rates, clock: TokioClock::start(), state: Mutex::default() }),
        })
    }

    /// Waits for the call's turn. Whoever drops this waits no more.
    pub(crate) async fn turn(&self, call: &Call, urgency: Urgency) -> Result<(), HeldBack> {
        match &self.0 {
            None => Ok(()),
            Some(limits) => limits.join(call, urgency)?.wait().await,
        }
    }

    /// Fly refused the call as one too many: all of its kind pause, so that the next does not meet the same refusal.
    pub(crate) fn throttled(&self, call: &Call, asked: Option<Duration>) {
        let Some(limits) = &self.0 else { return };
        let pause = asked.unwrap_or(USUAL_PAUSE).min(LONGEST_PAUSE);
        let now = Instant::now();
        let mut state = limits.state();
        let bucket = limits.bucket(&mut state, call);
        bucket.close_for(pause, now);
        tracing::info!(
            fly.action = ?call.action(),
            fly.subject = call.identifier(),
            waiting = bucket.waiting(Urgency::Foreground) + bucket.waiting(Urgency::Background),
            pause_ms = pause.as_millis(),
            "Fly throttles; calls of this kind pause"
        );
    }

    /// Who waits, the longest first.
    pub(crate) fn queues(&self) -> Vec<Queue> {
        let Some(limits) = &self.0 else { return Vec::new() };
        let now = Instant::now();
        let state = limits.state();
        let mut queues: Vec<Queue> = state
            .buckets
            .iter()
            .filter_map(|((action, subject), bucket)| {
                Some(Queue {
                    action: *action,
                    subject: subject.clone(),
                    foreground: bucket.waiting(Urgency::Foreground),
                    background: bucket.waiting(Urgency::Background),
                    longest: now.saturating_duration_since(bucket.longest_since()?),
                    ahead: bucket.wait_of_last(now),
                })
            })
            .collect();
        queues.sort_by_key(|queue| std::cmp::Reverse(queue.longest));
        queues
    }
}

impl Limits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket<'s>(&self, state: &'s mut State, call: &Call) -> &'s mut Bucket {
        let rate = self.rates.of(call);
        let key = (call.action(), call.identifier().to_owned());
        state.buckets.entry(key).or_insert_with(|| Bucket::new(rate, self.clock))
    }

    /// A place in the call's line, unless it is too long.
    fn join(&self, call: &Call, urgency: Urgency) -> Result<Place<'_>, HeldBack> {
        let now = Instant::now();
        let mut state = self.state();
        state.calls += 1;
        let ticket = state.calls;
        if ticket.is_multiple_of(CALLS_BETWEEN_CLEAN_UPS) {
            state.buckets.retain(|_, bucket| !bucket.is_idle(now));
        }
        let bucket = self.bucket(&mut state, call);
        let wait = bucket.wait_of_newcomer(urgency, now);
        if wait > self.rates.longest_delay || bucket.waiting(urgency) >= self.rates.max_waiting {
            return Err(HeldBack { retry_after: wait });
        }
        let first = Arc::new(Notify::new());
        bucket.join(Waiter { ticket, since: now, first: first.clone() }, urgency);
        Ok(Place { limits: self, key: (call.action(), call.identifier().to_owned()), ticket, since: now, first })
    }
}

/// A place in a line; given up when dropped.
struct Place<'l> {
    limits: &'l Limits,
    key: Key,
    ticket: Ticket,
    since: Instant,
    first: Arc<Notify>,
}

impl Place<'_> {
    async fn wait(self) -> Result<(), HeldBack> {
        let deadline = self.since + self.limits.rates.longest_delay;
        let mut long_since = Some(self.since + LONG_WAIT);
        loop {
            let now = Instant::now();
            let until = match self.in_bucket(|bucket| bucket.ask(self.ticket, now)) {
                None | Some(Turn::Go) => return Ok(()),
                Some(Turn::At(then)) => then,
                Some(Turn::InLine) => deadline,
            };
            if until > deadline || now >= deadline {
                let retry_after = self.in_bucket(|bucket| bucket.wait_of(self.ticket, now));
                return Err(HeldBack { retry_after: retry_after.unwrap_or_default() });
            }
            tokio::select! {
                () = self.first.notified() => {}
                () = tokio::time::sleep_until(long_since.map_or(until, |long| long.min(until))) => {}
            }
            if long_since.is_some_and(|long| long <= Instant::now()) {
                long_since = None;
                self.note();
            }
        }
    }

    /// The bucket is there as long as somebody waits for it.
    fn in_bucket<T>(&self, look: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        self.limits.state().buckets.get_mut(&self.key).map(look)
    }

    fn note(&self) {
        let waiting =
            self.in_bucket(|bucket| bucket.waiting(Urgency::Foreground) + bucket.waiting(Urgency::Background));
        tracing::info!(
            fly.action = ?self.key.0,
            fly.subject = self.key.1,
            waiting,
            waited_ms = self.since.elapsed().as_millis(),
            "a call to Fly waits long for its turn"
        );
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.in_bucket(|bucket| bucket.leave(self.ticket));
    }
}
