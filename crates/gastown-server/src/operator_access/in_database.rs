//! The registry in its database.

mod rollouts;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    EventFilter, HeldOperation, NewOperation, Operations as _, Operator as _, Readable, Requested, Retried,
    SingletonJobs as _, TownDetails, TownFilter,
};
use gastown_domain::{Failure, OperationId, OperationKind, Recorded, Rejection, TownId};
use gastown_fly::{machine_name, volume_name};
use gastown_orchestrator::{Policy, Timeouts};
use gastown_persistence::Database;

use super::{AccessError, OperatorAccess, TownRequest, WhichOperations, lost_answers, new_operation};
use crate::reports::{
    self, EventList, EventOfTown, Job, OperationEnd, OperationList, Retry, TownList, TownReport, needs_attention,
};

/// The events of a town's report.
const EVENTS: u32 = 20;

/// A registry in its database, for one operator.
#[derive(Clone)]
pub(crate) struct InDatabase {
    database: Database,
    actor: String,
    timeouts: Timeouts,
}

impl InDatabase {
    /// Returns the access of the operator `actor`, whose requests have the time limits of production.
    pub(crate) fn new(database: Database, actor: impl Into<String>) -> Self {
        Self { database, actor: actor.into(), timeouts: Policy::production().timeouts }
    }

    /// Replaces the time limits of requests.
    pub(crate) fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Returns the same access for another operator.
    pub(crate) fn acting_as(&self, actor: String) -> Self {
        Self { actor, ..self.clone() }
    }

    async fn details(&self, town: TownId, names: &[String], events: u32) -> Result<TownDetails, AccessError> {
        let found = self.database.town_details(town, names, events).await.map_err(AccessError::Read)?;
        found.ok_or_else(|| AccessError::NoSuchTown(town.to_string()))
    }
}

#[async_trait]
impl OperatorAccess for InDatabase {
    async fn towns(&self, filter: &TownFilter, limit: u32) -> Result<TownList, AccessError> {
        // One more shows that there are more.
        let found = self.database.towns(filter, limit.saturating_add(1)).await.map_err(AccessError::Read)?;
        Ok(TownList::of(&found, limit))
    }

    async fn town(&self, town: TownId) -> Result<TownReport, AccessError> {
        let names = [machine_name(town), volume_name(town)];
        self.details(town, &names, EVENTS).await.map(|found| (&found).into())
    }

    async fn operations(
        &self,
        which: WhichOperations,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<OperationList, AccessError> {
        let in_flight = self.database.operations(limit).await.map_err(AccessError::Read)?;
        let failed = if which.lists_failed() {
            let filter = EventFilter { failed: true, since: Some(since), ..EventFilter::default() };
            self.database.audit(&filter, limit).await.map_err(AccessError::Read)?
        } else {
            Vec::new()
        };
        let jobs = self.database.states().await.map_err(AccessError::Read)?;
        let is_listed = |held: &&Readable<HeldOperation>| match which {
            WhichOperations::All => true,
            // An operation that cannot be read makes no progress until an operator acts.
            WhichOperations::Attention => held.as_ref().map_or(true, |held| needs_attention(&held.operation)),
            WhichOperations::Failed => false,
        };
        Ok(OperationList {
            operations: in_flight.iter().filter(is_listed).map(reports::Readable::of).collect(),
            in_flight: in_flight.len(),
            failed: failed.iter().map(EventOfTown::from).collect(),
            passes: jobs.iter().map(Job::from).collect(),
        })
    }

    async fn events(&self, filter: &EventFilter, limit: u32) -> Result<EventList, AccessError> {
        let found = self.database.audit(filter, limit.saturating_add(1)).await.map_err(AccessError::Read)?;
        Ok(EventList::of(&found, limit))
    }

    async fn request(
        &self,
        town: TownId,
        request: TownRequest,
        operation: OperationId,
    ) -> Result<OperationId, AccessError> {
        let found = self.details(town, &[], 0).await?.town;
        let wanted = new_operation(operation, &found, request.kind(), request.timeout(&self.timeouts));
        let database = &self.database;
        let requested = match request {
            TownRequest::Destroy => lost_answers::destroy(database, database, &wanted, &self.actor).await.map(Some),
            TownRequest::Start | TownRequest::Stop | TownRequest::Restore if found.is_tombstone() => {
                return Err(AccessError::NoSuchTown(format!("{town} is destroyed")));
            }
            TownRequest::Start | TownRequest::Stop | TownRequest::Restore => {
                lost_answers::request(database, database, &wanted, &self.actor).await
            }
        };
        requested_id(&wanted, requested.map_err(AccessError::Write)?)
    }

    async fn retry(&self, town: TownId) -> Result<Retry, AccessError> {
        let retried = lost_answers::retry(&self.database, town, &self.actor).await.map_err(AccessError::Write)?;
        match retried {
            Retried::Due(operation) => Ok(Retry { town_id: town, operation: (&*operation).into() }),
            Retried::Newer(operation) => Err(AccessError::refused(
                "newer_version",
                &format!(
                    "the {} of town {town} is of a newer version of gastown and was left alone; use that version to retry \
                     it",
                    operation.kind.as_str()
                ),
            )),
            Retried::NothingInFlight => Err(AccessError::refused(
                "nothing_in_flight",
                &format!("town {town} has no operation in flight, there is nothing to retry"),
            )),
            Retried::NotFound => Err(AccessError::NoSuchTown(town.to_string())),
        }
    }

    async fn end_of(&self, operation: OperationId) -> Result<Option<OperationEnd>, AccessError> {
        let outcome = self.database.outcome(operation).await.map_err(AccessError::Read)?;
        let ended = outcome.is_some();
        if !ended && !self.database.is_known(operation).await.map_err(AccessError::Read)? {
            return Ok(None);
        }
        let failure = match outcome {
            Some(Ok(())) | None => None,
            Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => Some((&failure).into()),
            Some(Err(Rejection::Preempted)) => Some((&Recorded::Known(Failure::Preempted)).into()),
        };
        Ok(Some(OperationEnd { operation_id: operation, ended, failure }))
    }
}

/// Returns the id of the operation in flight. `None`: the wanted one was accepted and has ended meanwhile.
fn requested_id(wanted: &NewOperation, requested: Option<Requested>) -> Result<OperationId, AccessError> {
    let town = wanted.town;
    match requested {
        Some(Requested::Accepted(accepted)) => Ok(accepted.operation.id),
        Some(Requested::Joined(joined)) => Ok(joined.id),
        Some(Requested::Busy(other)) => Err(AccessError::refused(
            "operation_in_flight",
            &format!(
                "another operation is in flight: {}; wait for its end, see `gastown town show {town}`",
                other.kind.as_str()
            ),
        )),
        Some(Requested::NotRestorable(why)) => {
            Err(AccessError::refused("not_restorable", &format!("town {town} is not restored: {why}")))
        }
        // It was destroyed since it was read.
        Some(Requested::NotFound) if wanted.kind == OperationKind::Destroy => Ok(wanted.id),
        Some(Requested::NotFound) => Err(AccessError::NoSuchTown(town.to_string())),
        None => Ok(wanted.id),
    }
}
