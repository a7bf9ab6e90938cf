//! The inputs from which a run begins.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// Reads the corpus of a target, in the order of file names.
///
/// Errors: the folder cannot be read, or is empty.
pub(crate) fn read(target: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("no corpus for {target}"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    ensure!(!paths.is_empty(), "the corpus of {target} is empty");
    paths.iter().map(|path| std::fs::read(path).with_context(|| path.display().to_string())).collect()
}
