//! The rigs of a town, kept as a file on its volume.

use serde::{Deserialize, Serialize};

use crate::world::Files;

/// Where the rigs stand, below the volume's mount point.
const RIGS_FILE: &str = "rigs.json";

/// gt's own directories: no rig can have their names.
const RESERVED: [&str; 3] = ["hq", "mayor", "deacon"];

/// A repository the town works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) repo_url: String,
    pub(crate) branch: String,
}

impl Rig {
    /// Whether `gt rig add` would take it.
    pub(crate) fn is_acceptable(&self) -> bool {
        let named = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !RESERVED.iter().any(|reserved| self.name.eq_ignore_ascii_case(reserved));
        let transported = self.repo_url.starts_with("https://")
            || self.repo_url.starts_with("ssh://")
            || self.repo_url.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.starts_with('-'));
        named && transported && !self.branch.is_empty() && !self.branch.starts_with('-')
    }
}

/// Reads the rigs; a file that is no list of rigs is read as none, as a fresh volume is.
pub(crate) fn read(files: &Files) -> Vec<Rig> {
    files.get(RIGS_FILE).and_then(|file| serde_json::from_slice(file).ok()).unwrap_or_default()
}

/// Writes the rigs back.
pub(crate) fn write(files: &mut Files, rigs: &[Rig]) -> Result<(), serde_json::Error> {
    files.insert(RIGS_FILE.to_owned(), serde_json::to_vec_pretty(rigs)?);
    Ok(())
}
