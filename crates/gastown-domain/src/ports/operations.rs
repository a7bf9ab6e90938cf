//! Operations: requested, claimed under a fence, written step by step, finished.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{FailedCheck, StoreError};
use crate::{
    Drift, Failure, Fence, IdleVerdict, MachineId, Operation, OperationId, OperationKind, Phase, Progress, Recorded,
    RecordedOperation, Region, Rejection, StepName, Town, TownId, TownStatus, UserId, VolumeId,
};

/// An operation to be accepted. Its row starts at [`Phase::Begun`], due at once.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// The operation's id, from the port `Ids`.
    pub id: OperationId,
    /// The town.
    pub town: TownId,
    /// The goal.
    pub kind: OperationKind,
    /// The user who requested it.
    pub requested_by: UserId,
    /// The time of acceptance.
    pub at: DateTime<Utc>,
    /// Time until the deadline, by the database's clock (FM-51). `None` for an operation that is never given up.
    pub timeout: Option<Duration>,
    /// The most operations in flight that the user may have requested, with this one. `None`: no limit. Requests at the same
    /// time do not see each other, so a few more may be accepted.
    pub max_in_flight: Option<u32>,
    /// The claim of the accepting process, which then drives the operation at once. `None` leaves it to any worker. A restore
    /// has none.
    pub claim: Option<FirstClaim>,
}

/// The claim that is inserted together with its operation, and the intent of the first call.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstClaim {
    /// The accepting process.
    pub worker: WorkerId,
    /// Time until the claim expires, by the database's clock.
    pub lease: Duration,
    /// The first step, or `None` if it is decided later.
    pub step: Option<StepName>,
    /// The progress with the first call recorded. An operation that replaces another one keeps that one's progress instead.
    pub progress: Progress,
}

/// An accepted operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The operation, as it was written.
    pub operation: RecordedOperation,
    /// The town, as it was read in the same transaction.
    pub town: Town,
    /// True if it replaced another operation, whose calls may still have an effect.
    pub replaced: bool,
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// The operation was written. A reconciler drives it to its end.
    Accepted(Box<Accepted>),
    /// An operation of the same kind is in flight, or a restart for a start.
    Joined(RecordedOperation),
    /// An operation of another kind is in flight, perhaps of a kind of a newer version.
    Busy(RecordedOperation),
    /// The town cannot be restored. Nothing was written.
    NotRestorable(RestoreRefusal),
    /// The owner has no such town.
    NotFound,
}

/// The reason for which a town cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreRefusal {
    /// The registry has no proof that the volume is lost.
    #[error("the town's volume is not lost")]
    VolumeNotLost,
    /// No sync of the town to R2 was ever confirmed.
    #[error("the town was never saved to R2")]
    NeverSaved,
}

/// The identity of a process that claims operations. One per process, fresh at each start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerId(pub String);

/// Changes to the town's row that belong to an update of its operation. `None` leaves a column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TownChange {
    /// The machine's id, or `Some(None)` once the machine is proven absent.
    pub machine: Option<Option<MachineId>>,
    /// The volume's id, or `Some(None)` once the volume is proven absent.
    pub volume: Option<Option<VolumeId>>,
    /// The volume's region, or `Some(None)` for a volume whose region is not known yet.
    pub region: Option<Option<Region>>,
    /// The town's status. The store refuses a transition that the table of statuses forbids.
    pub status: Option<TownStatus>,
    /// The time of the soft delete: status `destroyed`, and the sandbox id becomes the tombstone's.
    pub soft_deleted_at: Option<DateTime<Utc>>,
    /// The time of a confirmed sync.
    pub synced_at: Option<DateTime<Utc>>,
    /// An external change that the operation found and did not repair, for the owner to read. Written where the operation
    /// ends. Drift checks of idle towns use [`super::DriftRecord::drift`].
    pub drift: Option<Drift>,
}

impl TownChange {
    /// Returns both changes as one. Where both set a column, `later` wins.
    #[must_use]
    pub fn merged(self, later: Self) -> Self {
        Self {
            machine: later.machine.or(self.machine),
            volume: later.volume.or(self.volume),
            region: later.region.or(self.region),
            status: later.status.or(self.status),
            soft_deleted_at: later.soft_deleted_at.or(self.soft_deleted_at),
            synced_at: later.synced_at.or(self.synced_at),
            drift: later.drift.or(self.drift),
        }
    }

    /// Returns the town's row after this change.
    #[must_use]
    pub fn applied_to(&self, town: Town) -> Town {
        let deleted = self.soft_deleted_at.map(|at| town.destroyed_at.unwrap_or(at));
        Town {
            sandbox_id: if deleted.is_some() { town.sandbox_id.tombstone(town.id) } else { town.sandbox_id },
            machine_id: self.machine.clone().unwrap_or(town.machine_id),
            volume_id: self.volume.clone().unwrap_or(town.volume_id),
            region: self.region.clone().unwrap_or(town.region),
            status: if deleted.is_some() { TownStatus::Destroyed } else { self.status.unwrap_or(town.status) },
            last_r2_sync_at: town.last_r2_sync_at.max(self.synced_at),
            destroyed_at: deleted.or(town.destroyed_at),
            ..town
        }
    }
}

/// The next state of an operation. Written whole, under the fence, and the lease is renewed with it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationUpdate {
    /// The kind. A create may become a roll back.
    pub kind: OperationKind,
    /// The phase.
    pub phase: Phase,
    /// The step that was begun or done.
    pub step: Option<Recorded<StepName>>,
    /// Failed attempts since the last progress.
    pub attempt: u32,
    /// The cause of the last failed attempt.
    pub last_error: Option<Recorded<Failure>>,
    /// The cause of a roll back, or of the stop that undoes a failed start.
    pub cause: Option<Recorded<Failure>>,
    /// The reconciler's memory between steps.
    pub progress: Progress,
    /// The deadline. It moves while the provider's rate limits hold the operation up.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Time until the next attempt. Zero to go on at once.
    pub wait: Duration,
    /// Time for which the claim holds from now, by the database's clock, `wait` included. `None` releases it, and any
    /// worker may take the operation once it is due.
    pub hold: Option<Duration>,
    /// Changes to the town's row, in the same transaction.
    pub town: TownChange,
}

/// The end of an operation: at its goal, or the reason why not.
pub type OperationResult = Result<(), Rejection>;

/// The operations in flight, and the results of earlier ones.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Operations: Send + Sync {
    /// Accepts a start, stop, restore or destroy. One transaction reads the town and the operation in flight, and writes.
    ///
    /// Finds the owner's living town only. A destroy also finds the owner's tombstone while its removal is in flight. The
    /// same kind joins the operation in flight. A destroy pre-empts every kind that does not end the town. The row becomes
    /// the destroy's, with a new id and a higher fence, and keeps `progress`. The result of the other one is recorded as
    /// `Preempted`. A destroy joins a roll back. A stop pre-empts a restart in the same way, and a start joins it. A start or a
    /// stop pre-empts an idle stop. If that one may have stopped the machine, the start becomes a restart. Anything else is
    /// busy.
    ///
    /// A restore is accepted only while the registry records that the volume is lost and that its data was saved before. It
    /// joins the undo of a restore.
    ///
    /// A destroy also pre-empts an operation of a newer version, whatever it is, so that a roll back of a deployment leaves no
    /// town stuck. Its creates count as unconfirmed (FM-59).
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError>;

    /// Returns the town's operation in flight.
    async fn current(&self, town: TownId) -> Result<Option<RecordedOperation>, StoreError>;

    /// Claims the town's operation for `lease`, by the database's clock, and raises its fence. Returns `None` when nothing
    /// is in flight, when a lease still holds, or when the next attempt is not due. A lease of the same worker counts too,
    /// because one process drives a town only once. An operation of a newer version is left alone: never claimed, and never
    /// written (FM-59).
    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError>;

    /// Claims up to `limit` operations that are due and whose lease is free or expired, as [`Operations::claim`] does.
    /// Concurrent replicas share the work and wait for no lock of each other. The first operation of each user comes before
    /// the second of any user (FM-52), then the longest due. A row that cannot be read is logged and postponed, and delays
    /// no other.
    async fn claim_due(&self, worker: &WorkerId, lease: Duration, limit: u32) -> Result<Vec<Operation>, StoreError>;

    /// Returns up to `limit` operations of a newer version that are due and that no worker holds, the longest due first.
    async fn left_to_newer(&self, limit: u32) -> Result<Vec<RecordedOperation>, StoreError>;

    /// Renews a claim and returns the database's time, by which deadlines are judged. Error `Fenced` if it was lost.
    async fn renew(&self, fence: Fence, lease: Duration) -> Result<DateTime<Utc>, StoreError>;

    /// Writes an update and returns the database's time. Error `Fenced` if the claim was lost; then nothing is written.
    async fn record(&self, fence: Fence, record: &OperationUpdate) -> Result<DateTime<Utc>, StoreError>;

    /// Returns up to `limit` towns that need an operation and have none in flight. These are tombstones that still hold a
    /// provider id (FM-11), and towns that are `provisioning` (FM-01).
    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError>;

    /// Inserts a new operation for a stranded town. A tombstone that still holds an id gets a destroy at
    /// [`Phase::Settled`], a town that is `provisioning` gets a create. Returns false, and writes nothing, if the town is
    /// not stranded any more.
    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError>;

    /// Inserts a restart for a running town without an operation in flight. Its actor in events is the monitor. Counts it in
    /// the same transaction, if a failed check requests it.
    ///
    /// Returns false, and writes nothing, for any other town, and for one that had an operation since the check.
    async fn restart(
        &self,
        operation: &NewOperation,
        progress: &Progress,
        check: Option<FailedCheck>,
    ) -> Result<bool, StoreError>;

    /// Returns up to `limit` towns that may be idle, with their owners, in no order. One statement.
    async fn idle_towns(&self, limit: u32) -> Result<Vec<(TownId, UserId)>, StoreError>;

    /// Inserts the stop of an idle town. The transaction locks and reads every fact again, and judges the town by them. So a
    /// use, a report or an operation that came before it wins. Its actor in events is `idle`.
    ///
    /// Writes nothing unless the verdict is [`IdleVerdict::Idle`].
    async fn stop_idle(&self, operation: &NewOperation) -> Result<IdleVerdict, StoreError>;

    /// Releases a claim. Any worker may take the operation once it is due. Error `Fenced` if the claim was lost.
    async fn release(&self, fence: Fence) -> Result<(), StoreError>;

    /// Ends the operation: deletes its row, changes the town's row, and records the result. Returns the town. `operation` is
    /// its last state, which may be ahead of the row. Error `Fenced` if the claim was lost; then nothing is written.
    async fn finish(
        &self,
        operation: &Operation,
        outcome: OperationResult,
        town: &TownChange,
    ) -> Result<Town, StoreError>;

    /// Returns the result of an operation. `None` while it is in flight, or if it never existed.
    async fn outcome(&self, operation: OperationId) -> Result<Option<OperationResult>, StoreError>;
}
