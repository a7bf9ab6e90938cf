//! What tests count and a reader wants to see: each writes one line into a file of its own.

use std::fs;
use std::path::PathBuf;

use crate::workspace;

/// Where the tests find the folder.
pub(super) const VARIABLE: &str = "TEST_FIGURES";

/// An empty folder for the figures of this run.
pub(super) fn empty_folder() -> anyhow::Result<PathBuf> {
    let folder = workspace::log_folder().join("figures");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The lines that were written, by the names of their files.
pub(super) fn written() -> anyhow::Result<Vec<String>> {
    let mut files: Vec<_> = fs::read_dir(workspace::log_folder().join("figures"))?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut lines = Vec::new();
    for file in files {
        lines.extend(fs::read_to_string(file.path())?.lines().map(ToOwned::to_owned));
    }
    Ok(lines)
}
