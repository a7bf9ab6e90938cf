//! The workflows and the files of `docs/deploy`, checked by programs of other projects. They are installed below `target`.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::requirements::{install, succeeds};
use crate::interrupt::Interrupt;
use crate::pip::{Installer, Package};
use crate::workspace;

/// The package with the first program. Its requirements have the others.
pub(crate) const PACKAGE: Package = Package {
    name: "zizmor",
    version: "1.32.0",
    requirements: "xtask/file-checks.txt",
    program: "zizmor",
    // For a download of 35 megabytes, with pip's own repeats.
    timeout: Duration::from_secs(240),
};

/// A program with its arguments, as it is typed in the root of the repository.
struct Check {
    program: &'static str,
    arguments: &'static [&'static str],
}

/// Each check. None of them uses the network.
const CHECKS: [Check; 4] = [
    // Actions without a hash, permissions that are too wide, and texts of others in scripts.
    Check {
        program: "zizmor",
        arguments: &["--offline", "--no-progress", "--color=never", "--persona=auditor", ".github/workflows"],
    },
    Check {
        program: "check-jsonschema",
        arguments: &[
            "--builtin-schema",
            "vendor.github-workflows",
            ".github/workflows/book.yml",
            ".github/workflows/ci.yml",
            ".github/workflows/release.yml",
        ],
    },
    Check {
        program: "check-jsonschema",
        arguments: &["--builtin-schema", "vendor.compose-spec", "docs/deploy/compose.yaml"],
    },
    Check { program: "kubernetes-validate", arguments: &["--strict", "docs/deploy/kubernetes.yaml"] },
];

/// The result of all checks.
pub(super) enum Checked {
    Sound,
    /// The findings of the programs.
    Broken(String),
    /// The programs are neither installed nor can they be.
    NoPrograms(String),
}

/// Runs all checks, even after a finding. An error means an interrupt, or a program that cannot be run.
pub(super) async fn check(title: &str, interrupt: &Interrupt) -> anyhow::Result<Checked> {
    let installer = Installer::of(PACKAGE);
    if let Err(why) = provide(&installer, title, interrupt).await? {
        return Ok(Checked::NoPrograms(why));
    }
    let mut findings = Vec::new();
    for Check { program, arguments } in CHECKS {
        let mut command = installer.program(program);
        command.args(arguments).current_dir(workspace::root());
        let mut command = tokio::process::Command::from(command);
        let run = async { command.kill_on_drop(true).output().await.context(program) };
        let output = interrupt.or(run).await?;
        if !output.status.success() {
            let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            findings.push(format!("{program} {}\n{out}{err}", arguments.join(" ")));
        }
    }
    Ok(if findings.is_empty() { Checked::Sound } else { Checked::Broken(findings.join("\n")) })
}

/// Installs the programs where one is missing, or returns the cause of the failure.
async fn provide(installer: &Installer, title: &str, interrupt: &Interrupt) -> anyhow::Result<Result<(), String>> {
    if are_installed(installer) {
        return Ok(Ok(()));
    }
    if !installer.has_pip()
        && let Err(error) = install(&["python3-pip"], interrupt).await
    {
        ensure!(!interrupt.is_requested(), "interrupted");
        return Ok(Err(explained(&format!("pip is missing: {error:#}"))));
    }
    if let Err(cause) = installer.install(title, interrupt).await? {
        return Ok(Err(explained(&cause)));
    }
    Ok(are_installed(installer)
        .then_some(())
        .ok_or_else(|| explained("an installed program does not run on this machine")))
}

fn are_installed(installer: &Installer) -> bool {
    CHECKS.iter().all(|check| succeeds(installer.program(check.program).arg("--version")))
}

fn explained(cause: &str) -> String {
    format!("Workflows and the files of docs/deploy were not checked: their programs cannot be installed.\n{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workflow_is_checked() {
        let folder = workspace::root().join(".github/workflows");
        let listed = |name: &str| CHECKS[1].arguments.contains(&format!(".github/workflows/{name}").as_str());
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(listed(&name), "{name} is not compared with the schema of GitHub");
        }
    }

    #[test]
    fn reason_for_a_skipped_check_names_its_cause() {
        let text = explained("no network");
        assert!(text.contains("were not checked") && text.ends_with("no network"), "{text}");
    }
}
