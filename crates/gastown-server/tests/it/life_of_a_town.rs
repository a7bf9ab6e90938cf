//! What a town goes through, from its create to its destroy, in tests that disturb each of it.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Create,
    AddRig,
    RemoveRig,
    Stop,
    Start,
    Destroy,
}

/// A town's life.
pub(crate) const LIFE: [Operation; 6] =
    [Operation::Create, Operation::AddRig, Operation::RemoveRig, Operation::Stop, Operation::Start, Operation::Destroy];
