//! How the simulated sandboxes behave.

use std::time::Duration;

/// How sandboxes behave; repositories that make one difficult are told by parts of their URL.
#[derive(Debug, Clone)]
pub struct SandboxRules {
    /// A serving sandbox asks home for a new gateway token when its own has less than this to live.
    pub refresh_before: Duration,
    /// Refused for good (422).
    pub refused: Vec<String>,
    /// Has work that is not pushed: not removed without force (409).
    pub unpushed: Vec<String>,
}

impl Default for SandboxRules {
    fn default() -> Self {
        Self {
            refresh_before: Duration::from_secs(2 * 60 * 60),
            refused: vec!["/refused/".to_owned()],
            unpushed: vec!["/unpushed/".to_owned()],
        }
    }
}

impl SandboxRules {
    pub(crate) fn refuses(&self, repo_url: &str) -> bool {
        self.refused.iter().any(|part| repo_url.contains(part))
    }

    pub(crate) fn has_unpushed_work(&self, repo_url: &str) -> bool {
        self.unpushed.iter().any(|part| repo_url.contains(part))
    }
}
