//! The output for operators: the same values as tables and as JSON. Neither shows the configuration of a user, which may
//! be confidential.

pub(super) mod json;
pub(super) mod table;

use gastown_domain::RecordedOperation;
use gastown_orchestrator::Policy;

/// Returns true if an operation failed so often that an operator should act (FM-14).
pub(super) fn needs_attention(operation: &RecordedOperation) -> bool {
    operation.attempt >= Policy::production().limits.alert_attempts
}
