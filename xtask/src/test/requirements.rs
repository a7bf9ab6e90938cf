//! Programs that the steps need. Missing ones are installed where that is possible.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, bail, ensure};
use ephemeral_db::{Cluster, EphemeralDbError, PgBouncer};

use super::{Scope, logged, step::Step};
use crate::cargo::cargo;
use crate::interrupt::Interrupt;
use crate::workspace;

/// The oldest Node.js that runs the TypeScript clients and libsodium.
const MIN_NODE: u32 = 18;

/// Installs Debian packages without starting their services, which `policy-rc.d` prevents.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update
apt-get install -y --no-install-recommends "$@"
"#;

/// The programs and the database of the steps. Dropping it removes the database.
pub(super) struct Provided {
    /// Our own cluster. It is `None` if no step needs one, or if `TEST_DATABASE_URL` names another.
    pub(super) postgres: Option<Cluster>,
    pub(super) nextest: bool,
}

/// Finds or installs the programs that the steps need, and starts the database.
pub(super) async fn provide(steps: &[Step], scope: Scope, interrupt: &Interrupt) -> anyhow::Result<Provided> {
    components(steps)?;
    let nextest = succeeds(cargo().args(["nextest", "--version"]));
    let (tests, attack) = (steps.contains(&Step::Tests), steps.contains(&Step::Attack));
    if scope == Scope::Quick || !(tests || attack) {
        return Ok(Provided { postgres: None, nextest });
    }
    let mut missing = if tests { missing_programs() } else { Vec::new() };
    if attack && Cluster::program("postgres").is_none() {
        missing.push("postgresql");
    }
    // The attacks start a server of their own.
    let mut postgres = if tests { interrupt.or(start_postgres()).await? } else { Postgres::Given };
    if matches!(postgres, Postgres::NotInstalled) && !missing.contains(&"postgresql") {
        missing.push("postgresql");
    }
    if !PgBouncer::is_installed() {
        missing.push("pgbouncer");
    }
    if !missing.is_empty() {
        install(&missing, interrupt).await?;
        let still = if tests { missing_of_node() } else { Vec::new() };
        ensure!(
            still.is_empty(),
            "Node.js {MIN_NODE} or later with npm is required; the packages of this system are older"
        );
        if matches!(postgres, Postgres::NotInstalled) {
            postgres = interrupt.or(start_postgres()).await?;
        }
    }
    ensure!(PgBouncer::is_installed(), EphemeralDbError::PgBouncerNotInstalled);
    match postgres {
        Postgres::Own(cluster) => Ok(Provided { postgres: Some(cluster), nextest }),
        Postgres::Given => Ok(Provided { postgres: None, nextest }),
        Postgres::NotInstalled => Err(EphemeralDbError::NotInstalled.into()),
    }
}

/// Checks the components that `rust-toolchain.toml` requires. A machine without network cannot install them.
fn components(steps: &[Step]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    if steps.iter().any(|step| matches!(step, Step::Fmt | Step::Drift)) && !succeeds(cargo().args(["fmt", "--version"]))
    {
        missing.push("rustfmt");
    }
    if steps.contains(&Step::Clippy) && !succeeds(cargo().args(["clippy", "--version"])) {
        missing.push("clippy");
    }
    ensure!(missing.is_empty(), "the toolchain is incomplete; run: rustup component add {}", missing.join(" "));
    Ok(())
}

enum Postgres {
    Own(Cluster),
    /// Named by `TEST_DATABASE_URL`, which the tests read.
    Given,
    NotInstalled,
}

async fn start_postgres() -> anyhow::Result<Postgres> {
    if std::env::var_os("TEST_DATABASE_URL").is_some_and(|url| !url.is_empty()) {
        return Ok(Postgres::Given);
    }
    match Cluster::start().await {
        Ok(cluster) => Ok(Postgres::Own(cluster)),
        Err(EphemeralDbError::NotInstalled) => Ok(Postgres::NotInstalled),
        Err(error) => Err(error).context("cannot start a Postgres for the tests"),
    }
}

/// Returns the packages of programs that tests run, except Postgres.
fn missing_programs() -> Vec<&'static str> {
    let mut missing = missing_of_node();
    // The examples of the wire's reference use it.
    if !succeeds(Command::new("curl").arg("--version")) {
        missing.push("curl");
    }
    // The unit tests of the alerts run in it.
    if !succeeds(Command::new("promtool").arg("--version")) {
        missing.push("prometheus");
    }
    // The dashboard is driven in it. The variable names another one.
    if std::env::var_os("CHROMIUM").is_none() && !Path::new("/usr/bin/chromium").is_file() {
        missing.push("chromium");
    }
    missing
}

fn missing_of_node() -> Vec<&'static str> {
    let version = output_of(Command::new("node").arg("--version"));
    let is_new = version.is_some_and(|version| node_major(&version).is_some_and(|major| major >= MIN_NODE));
    let mut missing = Vec::new();
    if !is_new {
        missing.push("nodejs");
    }
    if !succeeds(Command::new("npm").arg("--version")) {
        missing.push("npm");
    }
    missing
}

/// Returns 20 for `v20.11.1`.
fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Installs Debian packages. An error names the command that does the same.
pub(crate) async fn install(packages: &[&str], interrupt: &Interrupt) -> anyhow::Result<()> {
    let by_hand = by_hand(packages);
    let Some(mut command) = as_root() else {
        bail!("not installed or too old: {}; run: {by_hand}", packages.join(", "));
    };
    command.args(["sh", "-c", INSTALL, "sh"]).args(packages);
    let log = workspace::log_folder().join("install.log");
    let title = format!("installing {}", packages.join(", "));
    println!("{title}");
    let run = logged::run(command, &log, &title, interrupt).await?;
    ensure!(run.succeeded, "failed to install {}; run: {by_hand}\n{}", packages.join(", "), run.text.trim_end());
    Ok(())
}

fn by_hand(packages: &[&str]) -> String {
    let sudo = if nix::unistd::geteuid().is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Returns the start of a command that runs as root. Returns `None` without apt-get or without the rights.
fn as_root() -> Option<Command> {
    if !succeeds(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let words: &[&str] = if nix::unistd::geteuid().is_root() {
        &["env"]
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n", "env"]
    } else {
        return None;
    };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("DEBIAN_FRONTEND=noninteractive");
    Some(command)
}

/// Runs a program. Returns false if it does not exist or fails.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output_of(command).is_some()
}

/// Runs a program and returns its output, if it exists and succeeds.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output: Output = command.stdin(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_parsed() {
        for (version, want) in [("v20.11.1\n", Some(20)), ("v8.0.0", Some(8)), ("20.1", None), ("", None)] {
            assert_eq!(node_major(version), want, "{version:?}");
        }
    }

    #[test]
    fn a_missing_or_failing_program_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("no-such-program-anywhere")));
        assert!(!succeeds(&mut Command::new("false")));
        assert!(succeeds(&mut Command::new("true")));
    }

    #[test]
    fn the_manual_command_names_the_packages() {
        let line = by_hand(&["postgresql", "npm"]);
        assert!(line.ends_with("apt-get install -y --no-install-recommends postgresql npm"), "{line}");
    }
}
