//! What an operator is shown: the same values as tables for people and as JSON for programs. Neither shows what a user
//! configured, which may hold what is nobody else's business.

pub(super) mod json;
pub(super) mod table;

use gastown_domain::Operation;
use gastown_orchestrator::Policy;

/// Whether an operation failed so often that it goes on slowly, and somebody should look (FM-14).
pub(super) fn needs_attention(operation: &Operation) -> bool {
    operation.attempt >= Policy::production().limits.alert_attempts
}
