//! What a way to break the code is made of.

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

    /// What the test programs are told, one run after the other: what is quick comes first, and often suffices.
    pub(super) fn rounds(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Orchestrator => &[&["--skip", "enumerated", "--skip", "sampled"], &["enumerated"], &["sampled"]],
            Self::Persistence | Self::Fly => &[&[]],
        }
    }
}

/// One way.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// What the broken code does.
    pub(super) about: &'static str,
    pub(super) file: &'static str,
    /// Stands exactly once in the file.
    pub(super) sound: &'static str,
    pub(super) broken: &'static str,
    /// The suites of which one is to notice it, tried in this order. The domain's own is not among them: the question is
    /// whether the behaviour is tested, not whether a snapshot of the plan is.
    pub(super) suites: &'static [Suite],
}

impl Mutant {
    /// The file's text, broken.
    pub(super) fn applied_to(&self, text: &str) -> anyhow::Result<String> {
        let found = text.matches(self.sound).count();
        ensure!(found == 1, "mutant {} does not fit {}: its text stands there {found} times", self.name, self.file);
        Ok(text.replacen(self.sound, self.broken, 1))
    }
}
