//! One operation in this process: its state, its town, what the claim knows, and what is not written yet.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{OperationResult, OperationUpdate, Operations, StoreError, TownChange};
use gastown_domain::{AppName, Operation, Town};
use tokio::time::Instant;

use super::database_time::DatabaseTime;
use super::decide::{Driven, records_the_same};
use super::knowledge::Knowledge;
use super::lease::LeaseGuard;
use super::update::{update, updated};

/// A claimed operation and its town, as they stand. Both may be ahead of their rows.
pub(super) struct Drive<'a> {
    pub(super) operation: Operation,
    pub(super) town: Town,
    /// `None` if no app name can be derived from the owner.
    pub(super) app: Option<AppName>,
    pub(super) knowledge: Knowledge,
    pub(super) lease: LeaseGuard<'a>,
    operations: &'a dyn Operations,
    time: DatabaseTime,
    /// The operation as the row records it.
    row: Operation,
    /// Changes of the town that its row lacks.
    unwritten: TownChange,
    /// Resources that were created and that no row references yet.
    created: TownChange,
}

impl<'a> Drive<'a> {
    /// Returns a drive whose rows are as given. `now` is the database's time, read when the claim was last renewed.
    pub(super) fn new(
        operations: &'a dyn Operations,
        lease: LeaseGuard<'a>,
        (operation, town, app): (Operation, Town, Option<AppName>),
        knowledge: Knowledge,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            row: operation.clone(),
            operation,
            town,
            app,
            knowledge,
            lease,
            operations,
            time: DatabaseTime::read_now(now),
            unwritten: TownChange::default(),
            created: TownChange::default(),
        }
    }

    /// Returns a lower bound of the database's time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.time.now()
    }

    /// Returns the operation and its row, for a decision.
    pub(super) fn driven(&self) -> Driven<'_> {
        Driven { operation: &self.operation, row: &self.row, town_unwritten: self.has_unwritten_town() }
    }

    /// Returns true if the town's row lacks a change.
    fn has_unwritten_town(&self) -> bool {
        self.unwritten != TownChange::default()
    }

    /// Returns true if the rows lack something that was learned, or a step that watchers have not seen.
    pub(super) fn has_unwritten(&self) -> bool {
        self.has_unwritten_town()
            || !records_the_same(&self.row, &self.operation)
            || self.row.progress.steps != self.operation.progress.steps
    }

    /// Returns what was created and is not referenced by a row yet.
    pub(super) const fn created(&self) -> &TownChange {
        &self.created
    }

    /// Records that a call has created this.
    pub(super) fn add_created(&mut self, created: TownChange) {
        self.created = std::mem::take(&mut self.created).merged(created);
    }

    /// Applies a change to the town. The next write stores it.
    pub(super) fn change_town(&mut self, change: TownChange) {
        if change == TownChange::default() {
            return;
        }
        self.town = change.applied_to(self.town.clone());
        self.unwritten = std::mem::take(&mut self.unwritten).merged(change);
    }

    /// Applies an update. The next write stores it.
    pub(super) fn advance(&mut self, update: &OperationUpdate) {
        self.operation = updated(self.operation.clone(), update);
        self.change_town(update.town.clone());
    }

    /// Renews the claim.
    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        self.time = self.lease.renew().await?;
        Ok(())
    }

    /// Writes operation and town in one transaction. `hold` is as in [`OperationUpdate`].
    pub(super) async fn write(&mut self, wait: Duration, hold: Option<Duration>) -> Result<(), StoreError> {
        let asked = Instant::now();
        let record = update(self.operation.clone(), self.unwritten.clone(), wait, hold);
        let now = self.operations.record(self.operation.fence(), &record).await?;
        self.time = DatabaseTime::read_now(now);
        self.lease.renewed_by_write(asked);
        self.row = self.operation.clone();
        (self.unwritten, self.created) = (TownChange::default(), TownChange::default());
        Ok(())
    }

    /// Writes the changes of the town that its row lacks, if there are any.
    pub(super) async fn write_town(&mut self, hold: Duration) -> Result<(), StoreError> {
        if self.has_unwritten_town() { self.write(Duration::ZERO, Some(hold)).await } else { Ok(()) }
    }

    /// Ends the operation, with everything that is not written yet. Returns the town.
    pub(super) async fn finish(&self, result: OperationResult, change: TownChange) -> Result<Town, StoreError> {
        self.operations.finish(&self.operation, result, &self.unwritten.clone().merged(change)).await
    }

    /// Releases the claim.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        if self.row == self.operation && !self.has_unwritten_town() {
            self.operations.release(self.operation.fence()).await
        } else {
            self.write(Duration::ZERO, None).await
        }
    }
}
