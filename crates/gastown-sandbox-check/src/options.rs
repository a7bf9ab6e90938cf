//! The choices of a check: repositories and time limits.

use std::time::Duration;

use gastown_sandbox::Timeouts;

/// The repositories that the sandbox is asked to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repositories {
    /// A repository that can be cloned.
    pub good: String,
    /// A branch of it.
    pub branch: String,
    /// A repository that does not exist.
    pub refused: String,
    /// A repository whose rig has unpushed work as soon as it is added. Without it, the rules about work are skipped.
    pub unpushed: Option<String>,
}

impl Default for Repositories {
    fn default() -> Self {
        Self {
            good: "https://github.com/octocat/Hello-World.git".to_owned(),
            branch: "master".to_owned(),
            // GitHub has no repositories at such a path. The simulator and the sample image know the part in the middle.
            refused: "https://github.com/octocat/refused/does-not-exist.git".to_owned(),
            unpushed: None,
        }
    }
}

/// The longest times that the check waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The deadlines of the control plane for its calls.
    pub calls: Timeouts,
    /// An answer to `GET /health` of a healthy sandbox.
    pub health: Duration,
    /// From the start of the image to its first good health.
    pub start: Duration,
    /// From the signal to the end of the process. Fly kills it afterwards.
    pub stop: Duration,
    /// For each call of the sandbox to the control plane.
    pub home: Duration,
    /// The difference of the two clocks.
    pub clock_skew: Duration,
}

impl Default for Limits {
    /// The control plane's deadlines for its calls, and 1 s for health. 60 s to start, and 5 s to stop. 150 s for a call to
    /// the control plane. 60 s between the clocks.
    fn default() -> Self {
        Self {
            calls: Timeouts::default(),
            health: Duration::from_secs(1),
            start: Duration::from_secs(60),
            stop: Duration::from_secs(5),
            home: Duration::from_secs(150),
            clock_skew: Duration::from_secs(60),
        }
    }
}

/// All choices of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The repositories.
    pub repositories: Repositories,
    /// The time limits.
    pub limits: Limits,
}
