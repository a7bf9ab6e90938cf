//! The part of a state file that is not of the world: the schedule of faults, the scenario, the attachments and the
//! journal.

use serde::{Deserialize, Serialize};

use crate::{attachment::Attachments, call_log::StoredCalls, faults::FaultSchedule};

/// The maximum number of calls in a file. Older ones are in the journal of the running simulator only.
pub(crate) const MAX_CALLS: usize = 1_000;

/// The set-up of the control API and of tests, and the calls so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlState {
    pub(crate) faults: FaultSchedule,
    /// The name of the scenario in force.
    pub(crate) scenario: Option<String>,
    pub(crate) attachments: Attachments,
    pub(crate) calls: StoredCalls,
}
