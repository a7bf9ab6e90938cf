use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::SUITE_TIMEOUT;
use super::mutant::{Mutant, Suite};
use crate::cargo::cargo;
use crate::interrupt::Interrupt;
use crate::test::logged::{self, Logged};
use crate::workspace;

/// The interval at which a log is searched for a failed test.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The result of a mutant.
pub(super) enum Fate {
    /// A test failed.
    Noticed {
        /// The first failed test.
        by: String,
    },
    /// The tests did not end in time.
    Hung,
    /// Every test passed.
    Survived,
    /// It does not compile and proves nothing.
    DoesNotBuild,
}

impl Fate {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Noticed { .. } => "noticed",
            Self::Hung => "noticed (hangs)",
            Self::Survived => "SURVIVED",
            Self::DoesNotBuild => "DOES NOT BUILD",
        }
    }

    pub(super) fn is_noticed(&self) -> bool {
        matches!(self, Self::Noticed { .. } | Self::Hung)
    }

    pub(super) fn detail(&self) -> String {
        match self {
            Self::Noticed { by } => by.clone(),
            Self::Hung | Self::Survived | Self::DoesNotBuild => String::new(),
        }
    }
}

/// A copy of the sources in which mutants are applied.
pub(super) struct Workshop {
    tree: PathBuf,
    build: PathBuf,
}

impl Workshop {
    /// Copies every tracked or untracked file that is not ignored. Files that are equal stay, so that little is rebuilt.
    pub(super) fn open() -> anyhow::Result<Self> {
        let folder = workspace::root().join("target/mutants");
        let workshop = Self { tree: folder.join("tree"), build: folder.join("build") };
        std::fs::create_dir_all(&workshop.tree)?;
        let wanted: BTreeSet<String> = workspace::file_names()?.into_iter().collect();
        for name in &wanted {
            workshop.restore(name)?;
        }
        remove_others(&workshop.tree, &workshop.tree, &wanted)?;
        Ok(workshop)
    }

    fn restore(&self, name: &str) -> anyhow::Result<()> {
        let (from, to) = (workspace::root().join(name), self.tree.join(name));
        let Ok(wanted) = std::fs::read(&from) else { return Ok(()) };
        if std::fs::read(&to).is_ok_and(|present| present == wanted) {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&to, wanted).with_context(|| format!("cannot write {}", to.display()))
    }

    /// Runs the suites without a mutant, because a suite that fails anyway proves nothing.
    pub(super) async fn expect_green(&self, suites: BTreeSet<Suite>, interrupt: &Interrupt) -> anyhow::Result<()> {
        for suite in suites {
            for round in suite.rounds() {
                let run = self.test(suite, round, "without a mutant", interrupt).await?;
                let Some(run) = run else { bail!("{suite:?} hangs without a mutant") };
                ensure!(run.succeeded, "{suite:?} fails without a mutant:\n{}", run.text.trim_end());
            }
        }
        Ok(())
    }

    pub(super) async fn fate_of(&self, mutant: &Mutant, heading: &str, interrupt: &Interrupt) -> anyhow::Result<Fate> {
        let place = self.tree.join(mutant.file);
        let original = std::fs::read_to_string(&place).with_context(|| format!("cannot read {}", mutant.file))?;
        std::fs::write(&place, mutant.applied_to(&original)?)?;
        let fate = self.fate_in_suites(mutant, heading, interrupt).await;
        std::fs::write(&place, original)?;
        fate
    }

    async fn fate_in_suites(&self, mutant: &Mutant, heading: &str, interrupt: &Interrupt) -> anyhow::Result<Fate> {
        for suite in mutant.suites {
            let built = self.cargo(*suite, &["--no-run"], heading, interrupt).await?;
            if built.is_none_or(|built| !built.succeeded) {
                return Ok(Fate::DoesNotBuild);
            }
            for round in suite.rounds() {
                match self.test(*suite, round, heading, interrupt).await? {
                    None => return Ok(Fate::Hung),
                    Some(run) if run.succeeded => {}
                    Some(run) => return Ok(Fate::Noticed { by: first_failure(&run.text) }),
                }
            }
        }
        Ok(Fate::Survived)
    }

    /// Runs the unit tests and the test program of a crate.
    async fn test(
        &self,
        suite: Suite,
        round: &[&str],
        title: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Option<Logged>> {
        let more = [&["--lib", "--test", "it", "--"], round].concat();
        self.cargo(suite, &more, title, interrupt).await
    }

    /// Runs cargo until it ends or the first test fails, because a mutant may make other tests hang. Returns `None` after
    /// the timeout.
    async fn cargo(
        &self,
        suite: Suite,
        more: &[&str],
        title: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Option<Logged>> {
        let mut command: Command = cargo();
        command.current_dir(&self.tree).args(["test", "--package", suite.package()]).args(more);
        command.env("CARGO_TARGET_DIR", &self.build).env("CARGO_TERM_COLOR", "never").env("INSTA_UPDATE", "no");
        let log = workspace::log_folder().join("mutants.log");
        std::fs::create_dir_all(workspace::log_folder())?;
        let run = logged::run(command, &log, title, interrupt);
        tokio::select! {
            biased;
            run = tokio::time::timeout(SUITE_TIMEOUT, run) => run.map_or(Ok(None), |run| run.map(Some)),
            text = failing(&log) => Ok(Some(Logged { succeeded: false, text })),
        }
    }
}

/// Waits for a failed test and returns the log up to then.
async fn failing(log: &Path) -> String {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if text.lines().any(|line| failed_test(line).is_some()) {
            return text.into_owned();
        }
    }
}

/// Returns the first failed test.
fn first_failure(log: &str) -> String {
    log.lines().find_map(failed_test).unwrap_or("the test program crashed").to_owned()
}

fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

fn remove_others(root: &Path, folder: &Path, wanted: &BTreeSet<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, wanted)?;
        } else if path.strip_prefix(root)?.to_str().is_none_or(|name| !wanted.contains(name)) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failed_test_is_named() {
        let log = "test plan::tests::one ... ok\ntest plan::tests::two ... FAILED\ntest three ... FAILED\n";
        assert_eq!(first_failure(log), "plan::tests::two");
        assert_eq!(first_failure("thread panicked"), "the test program crashed");
    }
}
