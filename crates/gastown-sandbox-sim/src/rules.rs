//! The settings of the simulated sandboxes.

use std::time::Duration;

/// The settings of the simulated sandboxes. Repositories and images with special behaviour are matched by a part of their text.
#[derive(Debug, Clone)]
pub struct SandboxRules {
    /// A sandbox requests a new gateway token when the remaining lifetime of its own is shorter than this.
    pub refresh_before: Duration,
    /// Repositories that cannot be added (422).
    pub refused: Vec<String>,
    /// Repositories whose default branch is `trunk`. That of the others is `main`.
    pub trunk: Vec<String>,
    /// Repositories with unpushed work, which are not removed without force (409).
    pub unpushed: Vec<String>,
    /// Images whose sandbox never becomes healthy (503), matched by a part of their reference.
    pub broken: Vec<String>,
}

impl Default for SandboxRules {
    fn default() -> Self {
        Self {
            refresh_before: Duration::from_secs(2 * 60 * 60),
            refused: vec!["/refused/".to_owned()],
            trunk: vec!["/trunk/".to_owned()],
            unpushed: vec!["/unpushed/".to_owned()],
            broken: vec!["/broken".to_owned()],
        }
    }
}

impl SandboxRules {
    pub(crate) fn refuses(&self, repo_url: &str) -> bool {
        self.refused.iter().any(|part| repo_url.contains(part))
    }

    /// Returns the default branch of a repository, as a sandbox reads it from the remote's `HEAD`.
    pub(crate) fn default_branch(&self, repo_url: &str) -> &'static str {
        if self.trunk.iter().any(|part| repo_url.contains(part)) { "trunk" } else { "main" }
    }

    /// Returns true if the sandbox of this image never becomes healthy.
    pub(crate) fn is_broken(&self, image: &str) -> bool {
        self.broken.iter().any(|part| image.contains(part))
    }

    pub(crate) fn has_unpushed_work(&self, repo_url: &str) -> bool {
        self.unpushed.iter().any(|part| repo_url.contains(part))
    }
}
