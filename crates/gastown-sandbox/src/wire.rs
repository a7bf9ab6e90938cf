//! The JSON of the sandbox's API, parsed strictly.

use chrono::{DateTime, Utc};
use gastown_domain::{Branch, RepoUrl, RigName, SandboxRig, TownId};
use serde::{Deserialize, Serialize};

/// `GET /health`, 200.
#[derive(Deserialize)]
pub(crate) struct Health {
    pub(crate) status: String,
    #[serde(rename = "townId")]
    pub(crate) town_id: TownId,
    /// The time at which the data was saved that the sandbox has restored. Other answers are read without it.
    #[serde(rename = "restoredFrom", default)]
    pub(crate) restored_from: Option<DateTime<Utc>>,
}

/// One rig, sent and received. A request without a branch asks for the repository's default branch.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rig {
    name: RigName,
    repo_url: RepoUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<Branch>,
}

/// `GET /rigs`, 200.
#[derive(Deserialize)]
pub(crate) struct Rigs {
    rigs: Vec<ListedRig>,
}

/// A rig of any origin. Its shape is checked, its values are not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedRig {
    name: String,
    repo_url: String,
    branch: String,
}

impl Rigs {
    /// Returns the rigs with valid values. Rigs that were added by hand may have other values, and are ignored without
    /// hiding the rest.
    pub(crate) fn ours(self) -> Vec<SandboxRig> {
        let ours = |rig: ListedRig| {
            let ListedRig { name, repo_url, branch } = rig;
            Some(SandboxRig {
                name: name.parse().ok()?,
                repo: repo_url.parse().ok()?,
                branch: Some(branch.parse().ok()?),
            })
        };
        self.rigs.into_iter().filter_map(ours).collect()
    }
}

/// `POST /sync`, 200.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Synced {
    pub(crate) synced_at: DateTime<Utc>,
}

/// The body of every error.
#[derive(Deserialize)]
pub(crate) struct Problem {
    pub(crate) error: ProblemBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) in_the_way: Vec<String>,
}

impl From<&SandboxRig> for Rig {
    fn from(rig: &SandboxRig) -> Self {
        Self { name: rig.name.clone(), repo_url: rig.repo.clone(), branch: rig.branch.clone() }
    }
}

impl From<Rig> for SandboxRig {
    fn from(rig: Rig) -> Self {
        Self { name: rig.name, repo: rig.repo_url, branch: rig.branch }
    }
}
