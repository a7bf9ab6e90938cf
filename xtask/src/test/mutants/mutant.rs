//! The definition of a mutant.

use anyhow::ensure;

/// The tests of one crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suite {
    Orchestrator,
    Persistence,
    Fly,
}

impl Suite {
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Orchestrator => "gastown-orchestrator",
            Self::Persistence => "gastown-persistence",
            Self::Fly => "gastown-fly",
        }
    }

    /// Returns the arguments of the test programs for each run. Quick tests come first, and often suffice.
    pub(super) fn rounds(self) -> &'static [&'static [&'static str]] {
        match self {
            // A reviewed table notices every change of the text, and proves nothing about behaviour.
            Self::Orchestrator => &[
                &["--skip", "enumerated", "--skip", "sampled", "--skip", "reviewed_table"],
                &["enumerated"],
                &["sampled"],
            ],
            Self::Persistence | Self::Fly => &[&[]],
        }
    }
}

/// One way to break the code.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// A description of what the broken code does.
    pub(super) about: &'static str,
    pub(super) file: &'static str,
    /// The text to replace, which occurs exactly once in the file.
    pub(super) sound: &'static str,
    pub(super) broken: &'static str,
    /// The suites of which one has to fail, tried in this order. The domain's own suite does not count, because a snapshot
    /// of the plan proves nothing about behaviour.
    pub(super) suites: &'static [Suite],
}

impl Mutant {
    /// Returns the text of the file with the change.
    pub(super) fn applied_to(&self, text: &str) -> anyhow::Result<String> {
        let found = text.matches(self.sound).count();
        ensure!(found == 1, "mutant {} does not match {}: its text occurs {found} times", self.name, self.file);
        Ok(text.replacen(self.sound, self.broken, 1))
    }
}
