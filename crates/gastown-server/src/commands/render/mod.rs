//! The output for operators: the same values as tables and as JSON. Neither shows the configuration of a user, which may
//! be confidential.

pub(super) mod json;
pub(super) mod json_lists;
pub(super) mod table;
pub(super) mod table_lists;

use std::collections::HashMap;

use gastown_domain::ports::{AuditedEvent, HeldOperation, JobState, Readable};
use gastown_domain::{RecordedOperation, TownId};
use gastown_orchestrator::Policy;

use super::since::Since;

/// The machine of a town, as Fly shows it.
pub(super) struct TownMachine {
    /// The image.
    pub(super) image: Option<String>,
    /// True if it has a key from before a rotation. `None`: not compared.
    pub(super) has_old_key: Option<bool>,
}

/// The machines that were compared with a list of towns.
pub(super) type MachinesOfTowns = HashMap<TownId, TownMachine>;

/// The values of `gastown operations`.
pub(super) struct OperationsList {
    /// The operations in flight, if they are listed.
    pub(super) in_flight: Option<Vec<Readable<HeldOperation>>>,
    /// The number of operations in flight, listed or not.
    pub(super) all_in_flight: usize,
    /// True if only those that need attention are listed.
    pub(super) only_attention: bool,
    /// The failed operations and their earliest end, if they are listed.
    pub(super) failed: Option<(Vec<AuditedEvent>, Since)>,
    /// The periodic jobs.
    pub(super) jobs: Vec<JobState>,
}

/// Returns true if an operation failed so often that an operator should act (FM-14).
pub(super) fn needs_attention(operation: &RecordedOperation) -> bool {
    operation.attempt >= Policy::production().limits.alert_attempts
}
