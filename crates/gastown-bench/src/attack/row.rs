//! The list of attacks.

use crate::report::Check;

use super::stage::Stage;
use super::{answers, connections, descriptors, heads, heartbeats, overload, retention, rigs, slow_readers, turns};

/// An attack, in the order of `docs/security.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    LargeAnswers,
    LingeringConnections,
    FewDescriptors,
    ManyOperations,
    SlowReaders,
    LargeHeads,
    Readiness,
    Heartbeats,
    Reads,
    ManyRigs,
    Retention,
}

impl Row {
    pub(super) const ALL: [Self; 11] = [
        Self::LargeAnswers,
        Self::LingeringConnections,
        Self::FewDescriptors,
        Self::ManyOperations,
        Self::SlowReaders,
        Self::LargeHeads,
        Self::Readiness,
        Self::Heartbeats,
        Self::Reads,
        Self::ManyRigs,
        Self::Retention,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LargeAnswers => "1 large answers",
            Self::LingeringConnections => "2 lingering connections",
            Self::FewDescriptors => "3 few descriptors",
            Self::ManyOperations => "4 many operations",
            Self::SlowReaders => "5 slow readers",
            Self::LargeHeads => "6 large heads",
            Self::Readiness => "7 readiness",
            Self::Heartbeats => "8 heartbeats",
            Self::Reads => "9 reads",
            Self::ManyRigs => "10 many rigs",
            Self::Retention => "11 retention",
        }
    }

    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::LargeAnswers => "a town with as many large rigs as possible, and batches of its status",
            Self::LingeringConnections => "silent connections, slow heads, idle connections, half HTTP/2 prefaces",
            Self::FewDescriptors => "more connections than file descriptors",
            Self::ManyOperations => "one user creates and destroys all the time, another creates one town",
            Self::SlowReaders => "large answers that are not read",
            Self::LargeHeads => "large request ids and paths",
            Self::Readiness => "a crowd on /readyz",
            Self::Heartbeats => "a crowd with the key of one town",
            Self::Reads => "a crowd on getTownStatus",
            Self::ManyRigs => "addRig, to one town, again and again",
            Self::Retention => "towns that are created and destroyed, and what is left of them",
        }
    }

    pub(super) async fn play(self, stage: &Stage) -> anyhow::Result<Vec<Check>> {
        match self {
            Self::LargeAnswers => answers::play(stage).await,
            Self::LingeringConnections => connections::play(stage).await,
            Self::FewDescriptors => descriptors::play(stage).await,
            Self::ManyOperations => turns::play(stage).await,
            Self::SlowReaders => slow_readers::play(stage).await,
            Self::LargeHeads => heads::play(stage).await,
            Self::Readiness => overload::readiness(stage).await,
            Self::Heartbeats => heartbeats::play(stage).await,
            Self::Reads => overload::reads(stage).await,
            Self::ManyRigs => rigs::play(stage).await,
            Self::Retention => retention::play(stage).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_in_their_order() {
        for (at, row) in Row::ALL.iter().enumerate() {
            assert!(row.name().starts_with(&format!("{} ", at + 1)), "{row:?}");
            assert!(!row.about().is_empty());
        }
    }
}
