//! The location and the files of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Returns the root of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Returns the folder for logs. It is in the target directory, so that nothing else has to be cleaned or ignored.
pub(crate) fn log_folder() -> PathBuf {
    root().join("target/xtask")
}

/// A text file of the repository.
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Returns the last component of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Returns the lines before the unit tests, which are last in a file or in a file of their own, `tests.rs`.
    pub(crate) fn production_lines(&self) -> impl Iterator<Item = &str> {
        let is_of_tests = self.name() == "tests.rs";
        self.text.lines().take_while(move |line| !is_of_tests && *line != "#[cfg(test)]")
    }
}

/// Returns the path of every file that is tracked, or untracked and not ignored.
pub(crate) fn file_names() -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = git.output().context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(ToOwned::to_owned).collect())
}

/// Returns every text file among them.
pub(crate) fn source_files() -> anyhow::Result<Vec<SourceFile>> {
    // A file that was deleted but not committed cannot be read, and neither can a binary file.
    Ok(file_names()?.iter().filter_map(|path| read(path)).collect())
}

fn read(path: &str) -> Option<SourceFile> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
    Some(SourceFile { path: path.to_owned(), text })
}
