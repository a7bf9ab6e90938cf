//! Requesting an operation on a town that exists, and waiting for its result.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Accepted, Caller, CallersTown, Measurement, NewOperation, OperationOutcome, Requested, StoreError, TownError,
    TownState,
};
use gastown_domain::{Failure, IdleStop, OperationKind, Recorded, RecordedOperation, Rejection, TownId};
use tokio::time::Instant;

use super::unless_written;
use crate::completion_notifier::{Completion, Until, Waiter};
use crate::town_service::TownService;

/// An operation whose result a caller waits for.
pub(super) struct Awaited {
    pub(super) operation: RecordedOperation,
    /// The idle stop of the town before the request.
    pub(super) idle_stop: Option<IdleStop>,
    waiter: Waiter,
    is_driven_here: bool,
}

/// Returns true for a request that counts as a change of its user.
const fn counts(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Start | OperationKind::Stop | OperationKind::Restore => true,
        // A create counts where its rigs are known. A user requests no restart and no undo.
        OperationKind::Create
        | OperationKind::Destroy
        | OperationKind::Restart
        | OperationKind::RollBack
        | OperationKind::UndoRestore => false,
    }
}

/// Returns true for a request that a blocked owner may not make.
fn starts(kind: OperationKind) -> bool {
    kind == OperationKind::Start || kind == OperationKind::Restore
}

/// Returns true if the process that accepts the operation may claim it at once. The registry decides the first progress of a
/// restore.
fn may_be_claimed(kind: OperationKind) -> bool {
    kind != OperationKind::Restore
}

impl TownService {
    /// Writes the operation, or joins the one of the same kind, and drives it or nudges the reconciler.
    pub(super) async fn request(
        &self,
        caller: &Caller,
        town: TownId,
        kind: OperationKind,
        timeout: Option<Duration>,
    ) -> Result<Awaited, TownError> {
        let found = self.admitted(caller, town, kind).await?;
        let idle_stop = found.as_ref().and_then(CallersTown::idle_stop);
        let in_flight = found.as_ref().and_then(|found| found.state.operation.clone());
        let caller = caller.user();
        let id = self.ports.env.ids.operation();
        let at = self.ports.env.clock.now();
        let max_in_flight = Some(self.settings.policy.limits.operations_per_user);
        let requested_by = caller.clone();
        let mut operation = NewOperation { id, town, kind, requested_by, at, timeout, max_in_flight, claim: None };
        let slot = self.reconciler.reserve_driver().filter(|_| may_be_claimed(kind));
        if slot.is_some() {
            let idle = found.map(|found| found.state).filter(|state| state.operation.is_none()).map(|state| state.town);
            operation.claim = Some(self.reconciler.first_claim(&operation, idle.as_ref()));
        }
        let (waiter, asked) = (self.completions.expect(id), Instant::now());
        match self.write_request(&operation).await? {
            Requested::Accepted(accepted) => {
                tracing::info!(town.id = %town, op.id = %id, op.kind = %kind, "operation accepted");
                if accepted.replaced {
                    // Callers of a pre-empted operation get their answer now, not at their next poll.
                    self.completions.notify();
                    self.count_preempted(in_flight.as_ref(), accepted.operation.created_at);
                }
                let (operation, is_driven_here) = (accepted.operation.clone(), slot.is_some());
                self.drive_accepted(slot, *accepted, asked);
                Ok(Awaited { operation, idle_stop, waiter, is_driven_here })
            }
            Requested::Joined(operation) => {
                self.nudge(town);
                let waiter = self.completions.expect(operation.id);
                Ok(Awaited { operation, idle_stop, waiter, is_driven_here: false })
            }
            Requested::Busy(in_flight) => Err(TownError::InFlight { kind: in_flight.kind }),
            Requested::NotRestorable(refusal) => Err(TownError::NotRestorable(refusal)),
            Requested::NotFound => Err(TownError::NotFound),
        }
    }

    /// Authorizes the caller of a request and counts it. The request is a use of the town, unless it ends the town. A tombstone
    /// is found while its removal is in flight, which is joined.
    async fn admitted(
        &self,
        caller: &Caller,
        town: TownId,
        kind: OperationKind,
    ) -> Result<Option<CallersTown>, TownError> {
        let found = self.ports.store.registry.callers_town(caller, town).await?;
        let Some(known) = &found else { return Ok(None) };
        if starts(kind) && known.owner_is_blocked {
            return Err(TownError::Blocked);
        }
        if counts(kind) {
            self.admit_change(caller.user())?;
        }
        if kind != OperationKind::Destroy {
            self.record_use(&known.state.town, known.use_is_recorded).await;
        }
        Ok(found)
    }

    /// Counts the end of an operation that another one has replaced.
    pub(super) fn count_preempted(&self, before: Option<&RecordedOperation>, now: DateTime<Utc>) {
        let Some((kind, since)) = before.and_then(|before| Some((before.kind.known()?, before.created_at))) else {
            return;
        };
        let (outcome, took) = (OperationOutcome::Preempted, (now - since).to_std().unwrap_or_default());
        self.ports.env.metrics.record(Measurement::OperationEnded { kind, outcome, took });
    }

    async fn write_request(&self, operation: &NewOperation) -> Result<Requested, TownError> {
        let written = self.ports.store.operations.request(operation).await;
        Ok(unless_written(written, self.requested(operation)).await?)
    }

    /// Returns the operation that was accepted although its answer was lost. It may have replaced another one.
    async fn requested(&self, operation: &NewOperation) -> Result<Option<Requested>, StoreError> {
        let store = &self.ports.store;
        let current = store.operations.current(operation.town).await?;
        let Some(operation) = current.filter(|current| current.id == operation.id) else { return Ok(None) };
        let town = store.registry.load(operation.town).await?;
        Ok(town.map(|town| Requested::Accepted(Box::new(Accepted { operation, town, replaced: true }))))
    }

    /// Waits for the result of an operation. A time-out is no error: the work goes on, and the town shows its state.
    /// Returns the town, if this process drove the operation that far.
    pub(super) async fn wait_for_result(
        &self,
        awaited: &Awaited,
        kind: OperationKind,
        until: Until,
    ) -> Result<Option<TownState>, TownError> {
        let operations = self.ports.store.operations.as_ref();
        let timeout = self.settings.policy.timeouts.caller;
        match awaited.waiter.completion(operations, timeout, (awaited.is_driven_here, until)).await? {
            None => Ok(None),
            Some(Completion { result: Ok(()), town }) => Ok(town),
            Some(Completion { result: Err(rejection), .. }) => {
                Err(TownError::Failed { kind, failure: failure_of(&rejection) })
            }
        }
    }
}

/// Returns the failure that the caller of a rejected operation reads.
pub(super) fn failure_of(rejection: &Rejection) -> Failure {
    match rejection {
        Rejection::Failed(failure) | Rejection::RolledBack(failure) => known(failure),
        Rejection::Preempted => Failure::Preempted,
    }
}

/// Returns the failure, or `Unrecognized` for one that a newer version recorded.
pub(super) fn known(failure: &Recorded<Failure>) -> Failure {
    failure.known().unwrap_or(Failure::Unrecognized)
}
