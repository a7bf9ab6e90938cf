//! Who waits for Fly's limits: a queue that can be seen.

use std::time::Duration;

use super::Action;

/// Calls that wait for one of Fly's limits, which hold per action and machine or app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What they are about to do. Fly counts more finely: two lines may be for the same action on the same subject.
    pub action: Action,
    /// The machine or app that Fly counts them against; empty where it is neither.
    pub subject: String,
    /// How many wait whose answer somebody waits for.
    pub foreground: usize,
    /// How many wait behind these.
    pub background: usize,
    /// How long the one that waits longest has done so.
    pub waited: Duration,
    /// How long the last in line will still wait, if nobody more urgent comes.
    pub ahead: Duration,
}

/// The lines in front of Fly's limits, as they are now. Asks nobody and never waits.
///
/// ```
/// use gastown_domain::ports::{Line, Lines};
///
/// /// Behind a proxy that does the pacing nobody waits here.
/// struct NoLimits;
///
/// impl Lines for NoLimits {
///     fn lines(&self) -> Vec<Line> {
///         Vec::new()
///     }
/// }
///
/// let port: Box<dyn Lines> = Box::new(NoLimits);
/// assert!(port.lines().is_empty());
/// ```
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Lines: Send + Sync {
    /// The lines in which anybody waits, the longest wait first. Of this process only: replicas do not know each other.
    fn lines(&self) -> Vec<Line>;
}
