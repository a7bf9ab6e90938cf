//! Comparison of settled towns with the provider: towns that are due, and results to record.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Alarm, StoreError, TownChange};
use crate::{AgreeingObservations, Drift, Recorded, Town, TownId};

/// The result of one drift check of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRecord {
    /// The time that [`DriftChecks::take_due`] returned with the town.
    ///
    /// The result is discarded if the town was taken again or had an operation since (FM-16).
    pub taken_at: DateTime<Utc>,
    /// The observations that agree so far, but are too few to be confirmed.
    pub suspicion: Option<AgreeingObservations>,
    /// The confirmed drift. A new one is recorded as an event.
    pub drift: Option<Recorded<Drift>>,
    /// The changes to the town's row.
    pub change: TownChange,
}

/// A round of drift checks, which all replicas share. Each new round raises the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftRound {
    /// The number of the round.
    pub number: i64,
    /// The time since the round began, by the database's clock.
    pub age: Duration,
    /// True if this call began the round.
    pub is_new: bool,
}

/// The figures of a round, or of one batch of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundFigures {
    /// Towns whose comparison has ended, with any result.
    pub finished: usize,
    /// Towns that could be compared.
    pub compared: usize,
    /// Towns whose machine or volume appears absent.
    pub absent: usize,
    /// Towns for which the provider refused our credentials.
    pub refused: usize,
}

/// The progress of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoundProgress {
    /// A replica still compares towns that it has taken.
    InFlight,
    /// The lease of towns in flight has expired. A replica has died, and its results are unknown.
    Abandoned,
    /// Every town that was taken has been reported.
    Complete,
    /// The round has ended, with its alarm.
    Ended(Option<Recorded<Alarm>>),
}

/// The state of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundState {
    /// The sums over all replicas.
    pub figures: RoundFigures,
    /// Towns that were taken and are not reported yet.
    pub in_flight: usize,
    /// The progress.
    pub progress: RoundProgress,
}

/// Drift checks of settled towns, shared by all replicas.
///
/// Replicas join a round, take batches of its towns and report the figures of each batch. The figures of a round are those
/// of all replicas, so that the circuit breaker sees every absence (FM-33). While towns are in flight, their replicas renew
/// the lease of the round with [`SingletonJobs::renew`](super::SingletonJobs::renew).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait DriftChecks: Send + Sync {
    /// Begins a round if the last one began longer than `every` ago and no towns are in flight. Otherwise joins the present
    /// one.
    ///
    /// Returns `None` if the present round has ended, or if a process of an older version makes it alone.
    async fn join_round(&self, every: Duration) -> Result<Option<DriftRound>, StoreError>;

    /// Takes up to `limit` towns that were not checked for `unseen_for`, by the database's clock, the longest unchecked
    /// first. Holds the round for `lease`.
    ///
    /// Only live towns that are running or stopped and have no operation in flight are due. Each is marked as taken, and is
    /// in flight until it is reported. Returns the town, its health, and the time for [`DriftRecord::taken_at`]. Returns no
    /// towns if the round has ended or another has begun.
    async fn take_due(
        &self,
        round: i64,
        limit: u32,
        unseen_for: Duration,
        lease: Duration,
    ) -> Result<Vec<(Town, super::TownHealth, DateTime<Utc>)>, StoreError>;

    /// Adds the figures of a batch to the round, and returns its state. Returns `None` if another round has begun.
    ///
    /// `agreed` are the towns of the batch that agree with the provider, and of which there is nothing to record. Each has the
    /// time that [`Self::take_due`] returned with it. This becomes the time of its last comparison, unless the town was taken
    /// again or had an operation since. All of them are written by one statement.
    async fn report(
        &self,
        round: i64,
        batch: RoundFigures,
        agreed: &[(TownId, DateTime<Utc>)],
    ) -> Result<Option<RoundState>, StoreError>;

    /// Ends a round with its alarm and returns true.
    ///
    /// Returns false and writes nothing if the round has ended already, or if towns are in flight and there is no alarm.
    async fn end_round(&self, round: i64, alarm: Option<Alarm>) -> Result<bool, StoreError>;

    /// Records the result of a drift check, with the time at which the town was taken, and returns true.
    ///
    /// Returns false and writes nothing if the town has an operation in flight, or had one or was taken again since.
    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError>;
}
