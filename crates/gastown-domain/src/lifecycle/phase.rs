//! The phases of an operation.

use crate::text_enum::text_enum;

text_enum! {
    expected "a known phase";
    /// Progress of an operation that cannot be observed at the provider. Stored in the column `mark`.
    pub enum Phase {
        /// Accepted. Restore: the volume is not proven lost again yet.
        Begun = "begun",
        /// Stop and destroy: the final sync was tried. Start and restart: the stopped machine has a fresh token.
        /// Restore: the volume is proven lost, the old machine is gone, and a new volume may exist.
        Prepared = "prepared",
        /// Create, start, restart and restore: the sandbox answered and has its rigs. Destroy and roll back: the row is
        /// soft-deleted.
        Settled = "settled",
    }
}
