//! Operations: requested, claimed under a fence, recorded step by step, finished.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::{
    Drift, Failure, Fence, MachineId, Operation, OperationId, OperationKind, Phase, Progress, Region, Rejection, Step,
    Town, TownId, TownStatus, UserId, VolumeId,
};

/// An operation to be accepted. Its row starts at [`Phase::Begun`], due at once.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// Its id, from the port `Ids`.
    pub id: OperationId,
    /// The town.
    pub town: TownId,
    /// What is wanted.
    pub kind: OperationKind,
    /// Who asked.
    pub requested_by: UserId,
    /// When it was accepted.
    pub at: DateTime<Utc>,
    /// How long it may take: its deadline is that much later, by the database's clock (FM-51).
    pub patience: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// The row is written; a driver will bring it to its end.
    Accepted(Operation),
    /// The same is in flight already.
    Joined(Operation),
    /// Something else is in flight.
    Busy(Operation),
    /// There is no such town for this owner.
    NotFound,
}

/// Who drives: one per process, fresh at each start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerId(pub String);

/// Changes to the town's row that belong to a recorded step. `None` leaves a column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TownChange {
    /// The machine: known, or proven gone.
    pub machine: Option<Option<MachineId>>,
    /// The volume: known, or proven gone.
    pub volume: Option<Option<VolumeId>>,
    /// Where the volume is.
    pub region: Option<Region>,
    /// Where the town stands. Refused by the store where the table of statuses forbids it.
    pub status: Option<TownStatus>,
    /// Soft-delete at this time: status `destroyed`, the sandbox id becomes the tombstone's.
    pub soft_deleted_at: Option<DateTime<Utc>>,
    /// A confirmed sync.
    pub synced_at: Option<DateTime<Utc>>,
    /// What the operation found to have happened behind our back and did not put right, for the owner to read. Written
    /// where the operation ends; looks at settled towns have a word of their own for it, [`super::DriftRecord::drift`].
    pub drift: Option<Drift>,
}

/// What a driver learned. Written whole, under the fence, with the lease prolonged.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationUpdate {
    /// The kind: a create may become a roll back.
    pub kind: OperationKind,
    /// How far it has come.
    pub phase: Phase,
    /// The step that was begun or done.
    pub step: Step,
    /// Failed attempts since the last progress.
    pub attempt: u32,
    /// Why the last attempt failed.
    pub last_error: Option<Failure>,
    /// Why a create is being rolled back, or a start undone.
    pub cause: Option<Failure>,
    /// What the driver remembers.
    pub progress: Progress,
    /// From when on it is given up; moved while nothing could be asked of Fly, which is no fault of the town.
    pub deadline_at: DateTime<Utc>,
    /// Time until the next attempt; zero to go on at once.
    pub wait: Duration,
    /// How long the claim holds from now, by the database's clock, `wait` included; `None` gives it back, so that any
    /// worker takes the operation once it is due.
    pub hold: Option<Duration>,
    /// Changes to the town's row, in the same transaction.
    pub town: TownChange,
}

/// How an operation ended: at its goal, or why not.
pub type OperationResult = Result<(), Rejection>;

/// The operations in flight, and how those before them ended.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Operations: Send + Sync {
    /// Writes a start, stop or destroy down, in one transaction with the look at the town and at what is in flight.
    ///
    /// The owner's living town only; a destroy also finds the owner's tombstone while its removal is in flight. The same
    /// kind again joins. A destroy pre-empts create, start and stop: the row becomes the destroy's, with a new id and a
    /// higher fence, keeping `progress`; the pre-empted one's outcome is recorded as `Preempted`. A destroy joins a roll
    /// back. Anything else is busy.
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError>;

    /// The operation in flight of a town.
    async fn current(&self, town: TownId) -> Result<Option<Operation>, StoreError>;

    /// Takes the operation of a town for `lease`, by the database's clock, and raises its fence. `None` where nothing is
    /// in flight, a lease still holds (this worker's own too: one process may drive a town only once), or its next
    /// attempt is not due.
    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError>;

    /// Takes up to `limit` operations that are due and whose lease is free or has run out, as [`Operations::claim`] takes
    /// one. Replicas that ask at once share the work and wait for no lock of each other. One user's first comes before any
    /// user's second (FM-52); among equals the longest due comes first. A row that cannot be read is reported, put off
    /// and keeps nobody else waiting.
    async fn claim_due(&self, worker: &WorkerId, lease: Duration, limit: u32) -> Result<Vec<Operation>, StoreError>;

    /// Prolongs a claim and answers the database's time, by which deadlines are judged. Error `Fenced` where it was lost.
    async fn renew(&self, fence: Fence, lease: Duration) -> Result<DateTime<Utc>, StoreError>;

    /// Writes what was learned. Error `Fenced` where the claim was lost; then nothing is written.
    async fn record(&self, fence: Fence, record: &OperationUpdate) -> Result<(), StoreError>;

    /// Towns that nobody drives though somebody should, at most `limit`: tombstones that still hold an id of Fly's
    /// (FM-11), and towns that are `provisioning` (FM-01), without an operation in flight.
    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError>;

    /// Gives a stranded town an operation again: a destroy, whose mark is [`Phase::Settled`], to a tombstone that still
    /// holds an id, a create to one that is `provisioning`. Answers whether it was still stranded; else nothing is written.
    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError>;

    /// Gives a claim back so that any worker may take it once it is due. Error `Fenced` where it was lost.
    async fn release(&self, fence: Fence) -> Result<(), StoreError>;

    /// Ends the operation: deletes its row, changes the town's, records the outcome. Error `Fenced` where the claim was
    /// lost; then nothing is written.
    async fn finish(&self, fence: Fence, outcome: OperationResult, town: &TownChange) -> Result<(), StoreError>;

    /// How an operation ended; `None` while it is in flight or where it never was.
    async fn outcome(&self, operation: OperationId) -> Result<Option<OperationResult>, StoreError>;
}
