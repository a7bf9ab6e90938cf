//! Counting failed attempts, and the pause after them. Pure.

use std::time::Duration;

use gastown_domain::{Failure, Operation, Recorded};

use super::deadline::queued;
use crate::settings::Policy;

/// An operation that failed so often that an operator must look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alert(pub(super) Failure);

/// Returns the pause after the operation's failed attempts, of which there were `before` at the start of this one. At the
/// alert level it returns an alert, once. From there on the operation is retried slowly, without an end (FM-14).
pub(super) fn pause_after_failure(
    operation: &Operation,
    before: u32,
    policy: &Policy,
    fraction: f64,
) -> (Duration, Option<Alert>) {
    let Some(beyond) = operation.attempt.checked_sub(policy.limits.alert_attempts) else {
        return (policy.backoff.retry.delay(operation.attempt, fraction), None);
    };
    let failure = operation.last_error.as_ref().and_then(Recorded::known).unwrap_or(Failure::Unrecognized);
    let alert = (before < policy.limits.alert_attempts).then_some(Alert(failure));
    (policy.backoff.alert.delay(beyond.saturating_add(1), fraction), alert)
}

/// Returns the number of failed attempts after this failure. A rate limit is no failure until the operation has spent its
/// time in queues: it raises no alert, and earlier failures still count.
pub(super) fn failures_after(operation: &Operation, failure: Failure, policy: &Policy) -> u32 {
    let failed = operation.attempt.saturating_add(1);
    if failure == Failure::Throttled && queued(operation) < policy.timeouts.queue {
        failed.min(policy.limits.alert_attempts.saturating_sub(1)).max(operation.attempt)
    } else {
        failed
    }
}
