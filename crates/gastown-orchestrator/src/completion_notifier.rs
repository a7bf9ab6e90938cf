//! Waiting for the result of an operation that any process may finish.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gastown_domain::ports::{OperationResult, Operations, StoreError, TownState};
use gastown_domain::{Operation, OperationId, Town};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The poll interval for operations that another process drives.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// The end of an operation.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    /// The result.
    pub(crate) result: OperationResult,
    /// The town after the end, if this process ended the operation. A removal that is certain is still in flight.
    pub(crate) town: Option<TownState>,
}

/// Wakes waiters in this process when an operation ends. The ends of other processes are read from the registry.
#[derive(Debug, Clone)]
pub(crate) struct CompletionNotifier {
    ended: Arc<Notify>,
    expected: Arc<Mutex<HashMap<OperationId, Expected>>>,
    /// The number of ends that only the registry tells.
    recorded: Arc<AtomicU64>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Expected {
    waiters: usize,
    completion: Option<Completion>,
    /// The tombstone of a town with its removal, once the provider has accepted the deletion of its machine.
    removed: Option<TownState>,
}

/// The event that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The end of the operation.
    Ended,
    /// The end, or the point from which a removal is certain and needs only time.
    RemovalCertain,
}

/// Keeps the end of an operation until the waiter is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    notifier: CompletionNotifier,
    operation: OperationId,
}

impl CompletionNotifier {
    /// Returns a notifier whose waits end when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { ended: Arc::default(), expected: Arc::default(), recorded: Arc::default(), stop }
    }

    /// Expects the end of an operation.
    pub(crate) fn expect(&self, operation: OperationId) -> Waiter {
        self.expected().entry(operation).or_default().waiters += 1;
        Waiter { notifier: self.clone(), operation }
    }

    /// Wakes every waiter to read the registry, which tells the operation that has ended.
    pub(crate) fn notify(&self) {
        self.recorded.fetch_add(1, Ordering::SeqCst);
        self.ended.notify_waiters();
    }

    /// Keeps the end of an operation for its waiters, and wakes them.
    pub(crate) fn complete(&self, operation: OperationId, result: OperationResult, town: Town) {
        if let Some(expected) = self.expected().get_mut(&operation) {
            expected.completion = Some(Completion { result, town: Some(TownState::idle(town)) });
        }
        self.ended.notify_waiters();
    }

    /// Keeps the tombstone of a town whose removal is certain, and wakes every waiter.
    pub(crate) fn removal_certain(&self, operation: &Operation, town: &Town) {
        if let Some(expected) = self.expected().get_mut(&operation.id) {
            let operation = Some(operation.clone().into());
            expected.removed = Some(TownState { town: town.clone(), operation });
        }
        self.ended.notify_waiters();
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<OperationId, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Returns the end of the operation, or `None` if it has not ended when `timeout` has passed or the process stops. A
    /// certain removal counts as a success where the caller waits for it.
    ///
    /// `is_driven_here` spares the first read of the registry.
    ///
    /// Errors: the registry's, if they last until then.
    pub(crate) async fn completion(
        &self,
        operations: &dyn Operations,
        timeout: Duration,
        (is_driven_here, until): (bool, Until),
    ) -> Result<Option<Completion>, StoreError> {
        let deadline = Instant::now() + timeout;
        let recorded = || self.notifier.recorded.load(Ordering::SeqCst);
        let (mut reads, mut read_at) = (!is_driven_here, recorded());
        loop {
            let ended = self.notifier.ended.notified();
            tokio::pin!(ended);
            // Registered before the read, so that an end between read and wait is not missed.
            ended.as_mut().enable();
            if let Some(completion) = self.kept(until) {
                return Ok(Some(completion));
            }
            let result = if reads { operations.outcome(self.operation).await } else { Ok(None) };
            let (now, is_stopping) = (Instant::now(), self.notifier.stop.is_cancelled());
            match result {
                Ok(Some(result)) => return Ok(Some(Completion { result, town: None })),
                Ok(None) if reads && (now >= deadline || is_stopping) => return Ok(None),
                // The operation goes on. A short outage must not cost the caller its result.
                Err(error) if !error.is_transient() || now >= deadline || is_stopping => return Err(error),
                Ok(None) | Err(_) => {}
            }
            let woken = async {
                tokio::select! {
                    () = ended => {}
                    () = self.notifier.stop.cancelled() => {}
                }
            };
            let is_woken = timeout_at(deadline.min(now + POLL_EVERY), woken).await.is_ok();
            reads = !is_woken || recorded() != read_at || self.notifier.stop.is_cancelled();
            read_at = recorded();
        }
    }

    fn kept(&self, until: Until) -> Option<Completion> {
        let expected = self.notifier.expected();
        let expected = expected.get(&self.operation)?;
        let removed = || match until {
            Until::RemovalCertain => expected.removed.clone(),
            Until::Ended => None,
        };
        let certain = || Some(Completion { result: Ok(()), town: Some(removed()?) });
        expected.completion.clone().or_else(certain)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut expected = self.notifier.expected();
        if let Some(entry) = expected.get_mut(&self.operation) {
            entry.waiters = entry.waiters.saturating_sub(1);
            if entry.waiters == 0 {
                expected.remove(&self.operation);
            }
        }
    }
}
