//! The rigs of a town, which are stored in a file on its volume.

use fly_sim::Files;
use serde::{Deserialize, Serialize};

/// The file with the rigs, below the volume's mount point.
const RIGS_FILE: &str = "rigs.json";

/// The directories of gt, whose names a rig cannot have.
const RESERVED: [&str; 3] = ["hq", "mayor", "deacon"];

/// A repository that the town works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) repo_url: String,
    /// Absent in a request for the repository's default branch. A stored rig has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
}

impl Rig {
    /// Returns true if `gt rig add` would accept the rig.
    pub(crate) fn is_valid(&self) -> bool {
        let has_valid_name = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !RESERVED.iter().any(|reserved| self.name.eq_ignore_ascii_case(reserved));
        let has_valid_url = self.repo_url.starts_with("https://")
            || self.repo_url.starts_with("ssh://")
            || self.repo_url.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.starts_with('-'));
        let has_valid_branch = self.branch.as_ref().is_none_or(|branch| !branch.is_empty() && !branch.starts_with('-'));
        has_valid_name && has_valid_url && has_valid_branch
    }
}

/// Reads the rigs. A missing or malformed file is an empty list.
pub(crate) fn read(files: &Files) -> Vec<Rig> {
    files.get(RIGS_FILE).and_then(|file| serde_json::from_slice(file).ok()).unwrap_or_default()
}

/// Writes the rigs.
pub(crate) fn write(files: &mut Files, rigs: &[Rig]) -> Result<(), serde_json::Error> {
    files.insert(RIGS_FILE.to_owned(), serde_json::to_vec_pretty(rigs)?);
    Ok(())
}
