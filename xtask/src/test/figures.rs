//! Figures that tests count for a reader. Each test writes one line to a file of its own.

use std::fs;
use std::path::PathBuf;

use crate::workspace;

/// The environment variable that names the folder.
pub(super) const VARIABLE: &str = "TEST_FIGURES";

/// Creates an empty folder for the figures of this run.
pub(super) fn empty_folder() -> anyhow::Result<PathBuf> {
    let folder = workspace::log_folder().join("figures");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Returns the lines that were written, in the order of the file names.
pub(super) fn written() -> anyhow::Result<Vec<String>> {
    let mut files: Vec<_> = fs::read_dir(workspace::log_folder().join("figures"))?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut lines = Vec::new();
    for file in files {
        lines.extend(fs::read_to_string(file.path())?.lines().map(ToOwned::to_owned));
    }
    Ok(lines)
}
