//! The reports for operators as tables.

pub(super) mod rollouts;
pub(super) mod table;
pub(super) mod table_lists;

use super::since::Since;
use crate::operator_access::WhichOperations;
use crate::reports::OperationList;

/// The values of `gastown operations`.
pub(super) struct OperationsView {
    /// The list.
    pub(super) list: OperationList,
    /// The lists that were asked for.
    pub(super) which: WhichOperations,
    /// The earliest end of failed operations.
    pub(super) since: Since,
}
