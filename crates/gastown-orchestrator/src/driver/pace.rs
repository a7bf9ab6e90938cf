//! How long to wait before the next pass: ever longer, and slowly once an operator has been told.

use std::time::Duration;

use gastown_domain::{Failure, Operation, OperationKind};
use tokio::time::Instant;

use super::Reconciler;

/// A look, or a call that makes something, takes no longer where it need not stand in line.
const UNDISTURBED: Duration = Duration::from_secs(4);

impl Reconciler {
    /// The pause after the operation's failed attempts so far, of which there were `before` when this one began. At the
    /// alert level an operator is told, once; from there on it goes on slowly, and never forgets (FM-14).
    pub(super) fn pause_after_failure(&self, operation: &Operation, before: u32) -> Duration {
        let (policy, fraction) = (&self.settings.policy, self.ports.env.jitter.fraction());
        let Some(beyond) = operation.attempt.checked_sub(policy.alert_attempts) else {
            return policy.backoff.delay(operation.attempt, fraction);
        };
        if before < policy.alert_attempts {
            tracing::error!(
                op.kind = %operation.kind,
                op.step = operation.step.map(gastown_domain::Step::as_str),
                op.attempt = operation.attempt,
                failure = operation.last_error.map(gastown_domain::Failure::code),
                "an operation needs attention: it failed many times in a row and goes on slowly"
            );
        }
        policy.alert_backoff.delay(beyond.saturating_add(1), fraction)
    }

    /// The deadline of an operation that Fly's limits hold up moves with the wait: a queue is no failure (FM-53). It does
    /// so for a bounded time in all, which is added up: no clock is compared with another (FM-51).
    pub(super) fn excuse(&self, operation: &mut Operation, wait: Duration) {
        let queued = queued(operation).saturating_add(wait);
        if queued <= self.settings.policy.max_queue_time {
            operation.progress.queued_ms = u64::try_from(queued.as_millis()).unwrap_or(u64::MAX);
            operation.deadline_at += wait;
        }
    }

    /// The same for what stood in a line of ours before it was sent: whatever it took longer than it takes.
    pub(super) fn excuse_line(&self, operation: &mut Operation, began: Instant) {
        let in_line = began.elapsed().saturating_sub(UNDISTURBED);
        if !in_line.is_zero() {
            self.excuse(operation, in_line);
        }
    }

    /// How many attempts have failed now. Fly's limits are no failure while there is patience with the queue: they are told
    /// as what it waits for, and alert nobody; what had failed before them is not forgotten.
    pub(super) fn failures_after(&self, operation: &Operation, failure: Failure) -> u32 {
        let policy = &self.settings.policy;
        let failed = operation.attempt.saturating_add(1);
        if failure == Failure::Throttled && queued(operation) < policy.max_queue_time {
            failed.min(policy.alert_attempts.saturating_sub(1)).max(operation.attempt)
        } else {
            failed
        }
    }
}

fn queued(operation: &Operation) -> Duration {
    Duration::from_millis(operation.progress.queued_ms)
}

/// Whether an operation goes on until it is done, however long that takes: what removes, and what undoes.
pub(super) const fn is_unbounded(operation: &Operation) -> bool {
    match operation.kind {
        OperationKind::Destroy | OperationKind::RollBack => true,
        OperationKind::Stop => operation.cause.is_some(),
        OperationKind::Create | OperationKind::Start => false,
    }
}
