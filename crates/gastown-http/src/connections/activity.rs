//! The activity of a connection, and the deadline that follows from it.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::time::{Instant, sleep_until};

use super::limits::ConnectionLimits;

/// The bytes that a slow client must read within the write time-out.
pub const MIN_PROGRESS: usize = 64 * 1024;
/// The time that an expired connection has to end in order.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The activity of one connection. Its lock is never held across an await.
pub(super) struct Activity {
    limits: Arc<ConnectionLimits>,
    state: Mutex<State>,
    /// Wakes the connection's task when a stream of HTTP/2 has ended in another task.
    waker: AtomicWaker,
}

struct State {
    /// The requests in flight, with their answers.
    requests: usize,
    /// True after the first request.
    served: bool,
    http2: bool,
    /// The start of a shutdown.
    draining_since: Option<Instant>,
    /// The start of the connection, or the end of the last request.
    idle_since: Instant,
    /// The arrival of the first byte of the next head.
    head_since: Option<Instant>,
    /// A write that the client does not take.
    blocked: Option<Blocked>,
    /// The answers whose next part waits for the client, each with the time when its last part was taken.
    waiting_answers: BTreeSet<(Instant, AnswerNumber)>,
    /// The number of the next answer.
    next_answer: AnswerNumber,
}

/// The number of an answer of a connection.
type AnswerNumber = u64;

struct Blocked {
    since: Instant,
    written: usize,
}

impl Activity {
    pub(super) fn new(limits: Arc<ConnectionLimits>) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            requests: 0,
            served: false,
            http2: false,
            draining_since: None,
            idle_since: now,
            head_since: None,
            blocked: None,
            waiting_answers: BTreeSet::new(),
            next_answer: 0,
        };
        Arc::new(Self { limits, state: Mutex::new(state), waker: AtomicWaker::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that bytes have arrived.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if state.requests == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Records that the client takes no more bytes.
    pub(super) fn write_blocked(&self) {
        self.state().blocked.get_or_insert_with(|| Blocked { since: Instant::now(), written: 0 });
    }

    /// Records that the client has taken bytes after a blocked write. Returns true if it is still too slow.
    pub(super) fn written(&self, bytes: usize) -> bool {
        let mut state = self.state();
        if let Some(blocked) = &mut state.blocked {
            blocked.written += bytes;
            if blocked.written >= MIN_PROGRESS {
                state.blocked = None;
            }
        }
        state.blocked.is_some()
    }

    /// Records that everything is written.
    pub(super) fn flushed(&self) {
        self.state().blocked = None;
    }

    /// Records the start of a shutdown.
    pub(super) fn drain(&self) {
        self.state().draining_since.get_or_insert_with(Instant::now);
    }

    /// Records the start of a request.
    pub(super) fn start_request(self: &Arc<Self>, http2: bool) -> InFlight {
        let mut state = self.state();
        state.requests += 1;
        state.served = true;
        state.http2 = http2;
        state.head_since = None;
        let number = state.next_answer;
        state.next_answer += 1;
        InFlight { activity: Arc::clone(self), number, waits_since: None }
    }

    fn deadline(&self) -> Option<Instant> {
        let (state, limits) = (self.state(), &self.limits);
        let blocked = state.blocked.as_ref().map(|blocked| blocked.since + limits.write_timeout);
        let untaken = state.waiting_answers.first().map(|(since, _)| *since + limits.write_timeout);
        let unused = (state.requests == 0 && blocked.is_none()).then(|| state.next_request(limits));
        [blocked, untaken, unused].into_iter().flatten().min()
    }

    /// Waits until the connection has missed a deadline. Poll it after the connection, whose progress moves the deadline.
    pub(super) async fn expired(&self) {
        let mut timer = pin!(sleep_until(Instant::now() + self.limits.head_timeout));
        poll_fn(|context| {
            self.waker.register(context.waker());
            loop {
                let Some(deadline) = self.deadline() else { return Poll::Pending };
                // A timer that fires too early is cheaper than one that each request moves.
                if deadline < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(context));
                if Instant::now() >= deadline {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

impl State {
    /// Records that an answer no longer waits for the client.
    fn end_wait(&mut self, since: Option<Instant>, answer: AnswerNumber) {
        if let Some(since) = since {
            self.waiting_answers.remove(&(since, answer));
        }
    }

    /// Returns the deadline of the next request's head.
    fn next_request(&self, limits: &ConnectionLimits) -> Instant {
        let patience = if self.served { limits.idle_timeout } else { limits.head_timeout };
        let deadline = match self.head_since {
            // Frames of HTTP/2 between requests, such as pings, are no head.
            Some(since) if self.served && !self.http2 => since + limits.head_timeout,
            Some(_) | None => self.idle_since + patience,
        };
        let closing = self.draining_since.map(|since| since.max(self.idle_since) + CLOSE_TIMEOUT);
        closing.map_or(deadline, |closing| closing.min(deadline))
    }
}

/// A request in flight, until its answer is handed over or dropped.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    number: AnswerNumber,
    /// The time since which the next part of the answer waits for the client.
    waits_since: Option<Instant>,
}

impl InFlight {
    /// Records who is waited for: the client that takes the answer, or this service that produces it.
    pub(super) fn waits_for_client(&mut self, waits: bool) {
        let mut state = self.activity.state();
        state.end_wait(self.waits_since.take(), self.number);
        if waits {
            let now = Instant::now();
            state.waiting_answers.insert((now, self.number));
            self.waits_since = Some(now);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.requests -= 1;
        state.end_wait(self.waits_since.take(), self.number);
        if state.requests == 0 {
            state.idle_since = Instant::now();
            if state.http2 {
                self.activity.waker.wake();
            }
        }
    }
}
