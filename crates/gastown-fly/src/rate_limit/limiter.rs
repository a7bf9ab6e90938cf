//! The rate limiter of one client and its clones.
//!
//! The crate `governor` keeps the limits. It lets waiting calls race for the next place, so the queues are kept here.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    bucket::{Admission, Bucket, TokioClock},
    priority::Priority,
    queue_stats::QueueStats,
    rates::{RateLimiting, Rates},
    turns::{Ticket, Turn, Waiter},
};
use crate::api::{Action, Call};

type Key = (Action, String);

/// Number of calls between two removals of idle buckets.
const CALLS_BETWEEN_CLEAN_UPS: u64 = 1024;
/// The pause after a 429 that names none.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that is accepted from Fly.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Longer waits are logged.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// The call would wait for too long, or the queue is full. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimited {
    /// The expected wait, by the calls that wait now.
    pub(crate) retry_after: Duration,
}

/// The rate limits of one client and its clones. Replicas do not coordinate: see [`Rates::shared_by`].
pub(crate) struct RateLimiter(Option<Limits>);

struct Limits {
    rates: Rates,
    clock: TokioClock,
    /// Never held across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: HashMap<Key, Bucket>,
    last_ticket: Ticket,
}

impl RateLimiter {
    pub(crate) fn new(limiting: RateLimiting) -> Self {
        Self(match limiting {
            RateLimiting::Off => None,
            RateLimiting::On(rates) => Some(Limits { rates, clock: TokioClock::start(), state: Mutex::default() }),
        })
    }

    /// Waits until the call may be sent. A dropped future leaves the queue.
    pub(crate) async fn acquire(&self, call: &Call, priority: Priority, turn: &Turn) -> Result<(), RateLimited> {
        match &self.0 {
            None => Ok(()),
            Some(limits) => limits.enqueue(call, priority, turn)?.wait().await,
        }
    }

    /// Pauses all calls of this kind after a 429, so that the next call is not refused as well.
    pub(crate) fn throttle(&self, call: &Call, retry_after: Option<Duration>) {
        let Some(limits) = &self.0 else { return };
        let pause = retry_after.unwrap_or(DEFAULT_PAUSE).min(MAX_PAUSE);
        let now = Instant::now();
        let mut state = limits.state();
        let bucket = limits.bucket(&mut state, call);
        bucket.block_for(pause, now);
        tracing::info!(
            fly.action = ?call.action(),
            fly.subject = call.identifier(),
            waiting = bucket.len(),
            pause_ms = pause.as_millis(),
            "call to Fly throttled, calls of its kind paused"
        );
    }

    /// Returns the queues in which a call waits, the longest wait first.
    pub(crate) fn queue_stats(&self) -> Vec<QueueStats> {
        let Some(limits) = &self.0 else { return Vec::new() };
        let now = Instant::now();
        let state = limits.state();
        let mut queues: Vec<QueueStats> =
            state.buckets.iter().filter_map(|(key, bucket)| queue_stats(key, bucket, now)).collect();
        queues.sort_by_key(|queue| std::cmp::Reverse(queue.waited));
        queues
    }
}

fn queue_stats((action, subject): &Key, bucket: &Bucket, now: Instant) -> Option<QueueStats> {
    Some(QueueStats {
        action: *action,
        subject: subject.clone(),
        foreground: bucket.waiting(Priority::Foreground),
        background: bucket.waiting(Priority::Background),
        waited: now.saturating_duration_since(bucket.oldest()?),
        remaining: bucket.wait_of_last(now),
    })
}

impl Limits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket<'s>(&self, state: &'s mut State, call: &Call) -> &'s mut Bucket {
        let rate = self.rates.of(call.action());
        state.buckets.entry(key(call)).or_insert_with(|| Bucket::new(rate, self.clock))
    }

    /// Appends the call to its queue, unless the queue is too long.
    fn enqueue(&self, call: &Call, priority: Priority, turn: &Turn) -> Result<QueuedCall<'_>, RateLimited> {
        let now = Instant::now();
        let mut state = self.state();
        let ticket = state.next_ticket(now);
        let bucket = self.bucket(&mut state, call);
        let wait = bucket.wait_of_new(priority, turn, now);
        if wait > self.rates.max_wait || bucket.waiting(priority) >= self.rates.max_waiting {
            return Err(RateLimited { retry_after: wait });
        }
        let is_first = Arc::new(Notify::new());
        bucket.push(Waiter { ticket, since: now, is_first: is_first.clone() }, priority, turn);
        Ok(QueuedCall { limits: self, key: key(call), ticket, since: now, is_first })
    }
}

impl State {
    fn next_ticket(&mut self, now: Instant) -> Ticket {
        self.last_ticket += 1;
        if self.last_ticket.is_multiple_of(CALLS_BETWEEN_CLEAN_UPS) {
            self.buckets.retain(|_, bucket| !bucket.is_idle(now));
        }
        self.last_ticket
    }
}

fn key(call: &Call) -> Key {
    (call.action(), call.identifier().to_owned())
}

/// A call in a queue. Leaves the queue when dropped.
struct QueuedCall<'l> {
    limits: &'l Limits,
    key: Key,
    ticket: Ticket,
    since: Instant,
    is_first: Arc<Notify>,
}

impl QueuedCall<'_> {
    async fn wait(self) -> Result<(), RateLimited> {
        let deadline = self.since + self.limits.rates.max_wait;
        let mut log_at = Some(self.since + LONG_WAIT);
        loop {
            let now = Instant::now();
            let until = match self.with_bucket(|bucket| bucket.try_admit(self.ticket, now)) {
                None | Some(Admission::Admitted) => return Ok(()),
                Some(Admission::NotBefore(then)) => then,
                Some(Admission::Queued) => deadline,
            };
            if until > deadline || now >= deadline {
                let retry_after = self.with_bucket(|bucket| bucket.wait_of(self.ticket, now));
                return Err(RateLimited { retry_after: retry_after.unwrap_or_default() });
            }
            tokio::select! {
                () = self.is_first.notified() => {}
                () = tokio::time::sleep_until(log_at.map_or(until, |at| at.min(until))) => {}
            }
            if log_at.take_if(|at| *at <= Instant::now()).is_some() {
                self.log_long_wait();
            }
        }
    }

    /// Runs `f` on the call's bucket, which exists while a call waits for it.
    fn with_bucket<T>(&self, f: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        self.limits.state().buckets.get_mut(&self.key).map(f)
    }

    fn log_long_wait(&self) {
        tracing::info!(
            fly.action = ?self.key.0,
            fly.subject = self.key.1,
            waiting = self.with_bucket(|bucket| bucket.len()),
            waited_ms = self.since.elapsed().as_millis(),
            "call to Fly queued for long"
        );
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        self.with_bucket(|bucket| bucket.remove(self.ticket));
    }
}
