//! The operations of a town from create to destroy, for tests that disturb each of them.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Create,
    AddRig,
    RemoveRig,
    Stop,
    Start,
    Destroy,
}

/// The operations of a town's life, in order.
pub(crate) const LIFE: [Operation; 6] =
    [Operation::Create, Operation::AddRig, Operation::RemoveRig, Operation::Stop, Operation::Start, Operation::Destroy];
