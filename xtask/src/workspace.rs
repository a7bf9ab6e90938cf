//! Where this repository is and what it consists of.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where logs go: below the target directory, so that nothing else has to be cleaned or ignored.
pub(crate) fn log_folder() -> PathBuf {
    root().join("target/xtask")
}

/// A file of the repository, as text.
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

    /// Its last component.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The lines before the unit tests; they stand last in a file, or in a file of their own, `tests.rs`.
    pub(crate) fn production_lines(&self) -> impl Iterator<Item = &str> {
        let is_of_tests = self.name() == "tests.rs";
        self.text.lines().take_while(move |line| !is_of_tests && *line != "#[cfg(test)]")
    }
}

/// The name of every file that is committed, or would be by the next commit of everything.
pub(crate) fn file_names() -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = git.output().context("cannot run git, which knows the files of the repository")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(ToOwned::to_owned).collect())
}

/// Every text file among them.
pub(crate) fn source_files() -> anyhow::Result<Vec<SourceFile>> {
    // What is deleted and not committed yet cannot be read, and what is no text has no lines.
    Ok(file_names()?.iter().filter_map(|path| read(path)).collect())
}

fn read(path: &str) -> Option<SourceFile> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
    Some(SourceFile { path: path.to_owned(), text })
}
