//! The admission of calls: a number at a time, a share for each caller, and a short queue that takes turns.
//!
//! A call that finds no place in the queue, or waits in it for too long, is refused. The service then stays fast for the
//! calls that it admits. In a full queue, a caller below its equal part takes the place of the caller with the most calls.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::error::CallError;
use crate::{reason::Reason, refusals::Refusals};

/// The time after which a refused caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of one kind of calls.
#[derive(Debug, Clone)]
pub struct AdmissionLimits {
    /// The calls at a time.
    pub max_running: usize,
    /// The calls of one caller at a time.
    pub max_running_per_caller: usize,
    /// The calls that wait for a place. One caller has at most half of them.
    pub max_waiting: usize,
    /// The longest wait.
    pub max_wait: Duration,
}

impl AdmissionLimits {
    /// The limits of queries in production. More of them at a time would only wait for a connection of the database.
    pub const READS: Self =
        Self { max_running: 32, max_running_per_caller: 16, max_waiting: 1024, max_wait: Duration::from_millis(500) };
    /// The limits of mutations in production. They wait for an operation, which takes little memory.
    pub const CHANGES: Self = Self { max_running: 1024, max_running_per_caller: 64, ..Self::READS };
}

/// The calls of one kind. The lock is never held across an await.
#[derive(Clone)]
pub(super) struct Admission(Arc<Queue>);

struct Queue {
    limits: AdmissionLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    next_ticket: u64,
    callers: HashMap<u64, Calls>,
    /// The callers with waiting calls, in the order of their turns.
    turns: VecDeque<u64>,
    refusals: Refusals,
}

/// The calls of one caller.
#[derive(Default)]
struct Calls {
    running: usize,
    /// In the order of arrival.
    waiting: BTreeMap<u64, oneshot::Sender<Permit>>,
}

/// The place of a running call, until it is dropped.
pub(super) struct Permit {
    queue: Arc<Queue>,
    caller: u64,
}

/// The place of a waiting call, which leaves the queue when it is dropped.
struct Waiting {
    queue: Arc<Queue>,
    caller: u64,
    ticket: u64,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self(Arc::new(Queue { limits, state: Mutex::default() }))
    }

    /// Waits for a place.
    ///
    /// Errors: `TOO_MANY_REQUESTS` if this caller has too many calls, `SERVICE_UNAVAILABLE` if all callers have.
    pub(super) async fn enter(&self, caller: u64) -> Result<Permit, CallError> {
        let (granted, waiting, refusal) = {
            let mut state = self.0.state();
            if self.0.has_place(&state, caller) {
                return Ok(self.0.grant(&mut state, caller));
            }
            let refusal = self.0.refusal(&state, caller);
            let Some((ticket, granted)) = self.0.enqueue(&mut state, caller) else {
                state.log_refusal();
                return Err(refusal);
            };
            (granted, Waiting { queue: Arc::clone(&self.0), caller, ticket }, refusal)
        };
        let permit = timeout(self.0.limits.max_wait, granted).await;
        drop(waiting);
        let permit = permit.ok().and_then(Result::ok);
        permit.ok_or_else(|| {
            self.0.state().log_refusal();
            refusal
        })
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_place(&self, state: &State, caller: u64) -> bool {
        state.running < self.limits.max_running && !self.has_its_share(state, caller)
    }

    fn has_its_share(&self, state: &State, caller: u64) -> bool {
        state.callers.get(&caller).is_some_and(|calls| calls.running >= self.limits.max_running_per_caller)
    }

    fn grant(self: &Arc<Self>, state: &mut State, caller: u64) -> Permit {
        state.running += 1;
        state.callers.entry(caller).or_default().running += 1;
        Permit { queue: Arc::clone(self), caller }
    }

    /// Adds a waiting call, unless the caller's half of the queue is full, or the queue is and no call gives way.
    fn enqueue(&self, state: &mut State, caller: u64) -> Option<(u64, oneshot::Receiver<Permit>)> {
        let max = self.limits.max_waiting;
        let own = state.waiting_of(caller);
        if own >= max.div_ceil(2) || (state.waiting >= max && !state.give_way(own)) {
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting += 1;
        if own == 0 {
            state.turns.push_back(caller);
        }
        state.callers.entry(caller).or_default().waiting.insert(ticket, grant);
        Some((ticket, granted))
    }

    fn refusal(&self, state: &State, caller: u64) -> CallError {
        let error = if self.has_its_share(state, caller) {
            Reason::TooManyCalls.error("You have too many requests in progress; wait for some of them to end")
        } else {
            Reason::Overloaded.error("The service is overloaded; try again in a second")
        };
        error.retry_after(RETRY_AFTER)
    }

    /// Grants free places to waiting calls, one caller after the other. Returns those that have left since.
    fn grant_waiting(self: &Arc<Self>) -> Vec<Permit> {
        let mut state = self.state();
        let mut left = Vec::new();
        for _ in 0..state.turns.len() {
            if state.running >= self.limits.max_running {
                break;
            }
            let Some(caller) = state.turns.pop_front() else { break };
            if !self.has_its_share(&state, caller)
                && let Some(grant) = state.take_waiting(caller)
            {
                let permit = self.grant(&mut state, caller);
                left.extend(grant.send(permit).err());
            }
            if state.callers.get(&caller).is_some_and(|calls| !calls.waiting.is_empty()) {
                state.turns.push_back(caller);
            }
        }
        left
    }
}

impl State {
    fn waiting_of(&self, caller: u64) -> usize {
        self.callers.get(&caller).map_or(0, |calls| calls.waiting.len())
    }

    /// Refuses the newest call of the caller with the most waiting calls. Returns false, and refuses none, if a caller with
    /// this number of calls has its equal part of the queue.
    fn give_way(&mut self, own: usize) -> bool {
        let equal_part = self.waiting / (self.turns.len() + 1);
        if own >= equal_part.max(1) {
            return false;
        }
        let longest = self.turns.iter().copied().max_by_key(|caller| self.waiting_of(*caller));
        let Some(longest) = longest.filter(|longest| self.waiting_of(*longest) > own + 1) else { return false };
        let dropped = self.callers.get_mut(&longest).and_then(|calls| calls.waiting.pop_last());
        self.waiting -= usize::from(dropped.is_some());
        dropped.is_some()
    }

    fn take_waiting(&mut self, caller: u64) -> Option<oneshot::Sender<Permit>> {
        let (_, grant) = self.callers.get_mut(&caller)?.waiting.pop_first()?;
        self.waiting -= 1;
        Some(grant)
    }

    fn log_refusal(&mut self) {
        if let Some(refused) = self.refusals.count() {
            tracing::warn!(refused, running = self.running, waiting = self.waiting, "calls refused");
        }
    }

    /// Forgets a caller without calls.
    fn forget(&mut self, caller: u64) {
        if self.callers.get(&caller).is_some_and(|calls| calls.running == 0 && calls.waiting.is_empty()) {
            self.callers.remove(&caller);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.queue.state();
            state.running -= 1;
            if let Some(calls) = state.callers.get_mut(&self.caller) {
                calls.running -= 1;
            }
            state.forget(self.caller);
            state.waiting > 0
        };
        if waiting {
            // Dropped after the lock is released, because each of them takes it again.
            drop(self.queue.grant_waiting());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let removed = state.callers.get_mut(&self.caller).and_then(|calls| calls.waiting.remove(&self.ticket));
        if removed.is_some() {
            state.waiting -= 1;
            if state.callers.get(&self.caller).is_some_and(|calls| calls.waiting.is_empty()) {
                state.turns.retain(|caller| *caller != self.caller);
            }
            state.forget(self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::trpc::Code;

    use super::*;

    const ALICE: u64 = 1;
    const BOB: u64 = 2;
    const CAROL: u64 = 3;

    fn admission(max_running: usize, max_running_per_caller: usize, max_waiting: usize) -> Admission {
        let max_wait = Duration::from_millis(200);
        Admission::new(AdmissionLimits { max_running, max_running_per_caller, max_waiting, max_wait })
    }

    fn code(result: Result<Permit, CallError>) -> Option<Code> {
        result.err().map(|error| error.code())
    }

    fn enter(admission: &Admission, caller: u64) -> tokio::task::JoinHandle<Result<Permit, CallError>> {
        let admission = admission.clone();
        tokio::spawn(async move { admission.enter(caller).await })
    }

    async fn until_waiting(admission: &Admission, count: usize) {
        while admission.0.state().waiting != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn calls_beyond_the_limit_are_refused_after_a_short_wait() {
        let admission = admission(2, 2, 10);
        let _running = (admission.enter(ALICE).await.unwrap(), admission.enter(BOB).await.unwrap());
        assert_eq!(code(admission.enter(CAROL).await), Some(Code::ServiceUnavailable));
        assert_eq!(admission.0.state().waiting, 0, "a refused call has left the queue");
    }

    #[tokio::test]
    async fn full_queue_refuses_at_once() {
        let admission = admission(1, 1, 2);
        let running = admission.enter(ALICE).await.unwrap();
        let (bob, carol) = (enter(&admission, BOB), enter(&admission, CAROL));
        until_waiting(&admission, 2).await;
        assert_eq!(code(admission.enter(4).await), Some(Code::ServiceUnavailable));
        drop(running);
        let bob = bob.await.unwrap().unwrap();
        drop(bob);
        assert!(carol.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn caller_below_its_part_of_a_full_queue_takes_a_place() {
        let admission = admission(1, 1, 6);
        let running = admission.enter(ALICE).await.unwrap();
        let bob: Vec<_> = (0..3).map(|_| enter(&admission, BOB)).collect();
        until_waiting(&admission, 3).await;
        let carol: Vec<_> = (0..3).map(|_| enter(&admission, CAROL)).collect();
        until_waiting(&admission, 6).await;
        let dave = enter(&admission, 4);
        while admission.0.state().waiting_of(4) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.0.state().waiting, 6, "the queue does not grow");
        let refused = |calls: &[tokio::task::JoinHandle<_>]| calls.iter().filter(|call| call.is_finished()).count();
        while refused(&bob) + refused(&carol) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(refused(&bob) + refused(&carol), 1);
        assert!(!bob[0].is_finished() && !carol[0].is_finished(), "the newest call gave way");
        assert_eq!(code(admission.enter(BOB).await), Some(Code::ServiceUnavailable), "bob has his part");
        drop(running);
        drop(bob.into_iter().next().unwrap().await.unwrap().unwrap());
        drop(carol.into_iter().next().unwrap().await.unwrap().unwrap());
        assert!(dave.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn caller_with_its_share_does_not_take_the_places_of_others() {
        let admission = admission(4, 2, 10);
        let _alice = (admission.enter(ALICE).await.unwrap(), admission.enter(ALICE).await.unwrap());
        let third = enter(&admission, ALICE);
        until_waiting(&admission, 1).await;
        assert!(admission.enter(BOB).await.is_ok(), "bob does not wait behind alice");
        assert_eq!(code(third.await.unwrap()), Some(Code::TooManyRequests));
    }

    #[tokio::test]
    async fn waiting_callers_take_turns() {
        let admission = admission(1, 1, 20);
        let running = admission.enter(CAROL).await.unwrap();
        let alice: Vec<_> = (0..5).map(|_| enter(&admission, ALICE)).collect();
        until_waiting(&admission, 5).await;
        let bob = enter(&admission, BOB);
        until_waiting(&admission, 6).await;
        drop(running);
        let mut alice = alice.into_iter();
        let first = alice.next().unwrap().await.unwrap().unwrap();
        assert!(!bob.is_finished());
        drop(first);
        assert!(bob.await.unwrap().is_ok(), "bob is second, although alice had five calls before him");
    }

    #[tokio::test]
    async fn abandoned_calls_leave_nothing_behind() {
        let admission = admission(1, 1, 20);
        let running = admission.enter(ALICE).await.unwrap();
        let waiting: Vec<_> = (0..4).map(|_| enter(&admission, BOB)).collect();
        until_waiting(&admission, 4).await;
        for call in waiting {
            call.abort();
        }
        until_waiting(&admission, 0).await;
        drop(running);
        let state = admission.0.state();
        assert!(state.running == 0 && state.callers.is_empty() && state.turns.is_empty());
    }
}
