//! Waiting for the result of an operation that any process may finish.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::OperationId;
use gastown_domain::ports::{OperationResult, Operations, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The poll interval for operations that another process drives.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Wakes waiters in this process when an operation ends. The registry tells which one, and its result.
#[derive(Debug, Clone)]
pub(crate) struct CompletionNotifier {
    ended: Arc<Notify>,
    stop: CancellationToken,
}

impl CompletionNotifier {
    /// Returns a notifier whose waits end when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { ended: Arc::default(), stop }
    }

    /// Wakes every waiter.
    pub(crate) fn notify(&self) {
        self.ended.notify_waiters();
    }

    /// Returns the result of an operation, or `None` if it has not ended when `timeout` has passed or the process stops.
    ///
    /// Errors: the registry's, if they last until then.
    pub(crate) async fn result_of(
        &self,
        operations: &dyn Operations,
        operation: OperationId,
        timeout: Duration,
    ) -> Result<Option<OperationResult>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before the read, so that an end between read and wait is not missed.
            ended.as_mut().enable();
            let result = operations.outcome(operation).await;
            let now = Instant::now();
            match result {
                Ok(Some(outcome)) => return Ok(Some(outcome)),
                Ok(None) if now >= deadline || self.stop.is_cancelled() => return Ok(None),
                // The operation goes on. A short outage must not cost the caller its result.
                Err(error) if !error.is_transient() || now >= deadline || self.stop.is_cancelled() => {
                    return Err(error);
                }
                Ok(None) | Err(_) => {}
            }
            // The registry is read again in both cases.
            let woken = async {
                tokio::select! {
                    () = ended => {}
                    () = self.stop.cancelled() => {}
                }
            };
            let _ = timeout_at(deadline.min(now + POLL_EVERY), woken).await;
        }
    }
}
