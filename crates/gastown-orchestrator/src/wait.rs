//! Waiting for the end of an operation, whichever process brings it there.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::OperationId;
use gastown_domain::ports::{OperationResult, Operations, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How often the registry is asked when another process drives.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Tells waiters in this process that some operation ended. The registry says which, and how.
#[derive(Debug, Clone)]
pub(crate) struct CompletionNotifier {
    ended: Arc<Notify>,
    stop: CancellationToken,
}

impl CompletionNotifier {
    /// Nobody waits longer than until `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { ended: Arc::default(), stop }
    }

    /// An operation ended.
    pub(crate) fn announce(&self) {
        self.ended.notify_waiters();
    }

    /// The outcome of an operation, waiting for it until `patience` has passed or the process stops; `None` when it has
    /// not ended by then.
    ///
    /// Errors: the registry's, where it does not pass until then.
    pub(crate) async fn outcome_of(
        &self,
        operations: &dyn Operations,
        operation: OperationId,
        patience: Duration,
    ) -> Result<Option<OperationResult>, StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before the look, so that an ending between look and wait is not missed.
            ended.as_mut().enable();
            let asked = operations.outcome(operation).await;
            let now = Instant::now();
            match asked {
                Ok(Some(outcome)) => return Ok(Some(outcome)),
                Ok(None) if now >= deadline || self.stop.is_cancelled() => return Ok(None),
                // The operation goes on meanwhile, and its end is worth more than a moment's trouble.
                Err(error) if !error.is_transient() || now >= deadline || self.stop.is_cancelled() => {
                    return Err(error);
                }
                Ok(None) | Err(_) => {}
            }
            // Either way the registry is asked again.
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
