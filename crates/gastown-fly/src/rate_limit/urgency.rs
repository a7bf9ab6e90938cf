//! Which calls go first.

/// Whether somebody waits for a call's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// An operation does.
    Foreground,
    /// Nobody does: goes only when no foreground call of its bucket waits.
    Background,
}
