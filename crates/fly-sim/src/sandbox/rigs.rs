//! The rigs of a town, kept as a file on its volume.

use serde::{Deserialize, Serialize};

use crate::world::Files;

/// Where the rigs stand, below the volume's mount point.
const RIGS_FILE: &str = "rigs.json";

/// A repository the town works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) repo_url: String,
    #[serde(default = "main_branch")]
    pub(crate) branch: String,
}

fn main_branch() -> String {
    "main".to_owned()
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
