use gastown_orchestrator::{FoundOrphan, Removal};

/// The outcome of the deletion of an orphan.
pub(super) struct Deletion<'a> {
    pub(super) orphan: &'a FoundOrphan,
    /// The text of an error contains its causes. It is meant for operators.
    pub(super) result: Result<Removal, String>,
}
