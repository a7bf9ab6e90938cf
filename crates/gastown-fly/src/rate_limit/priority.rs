//! The order of calls in a queue.

/// The priority of a call in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A call of an operation, with a caller that waits.
    Foreground,
    /// A sweep or an inspection. Goes only when its bucket has no foreground call waiting.
    Background,
}
