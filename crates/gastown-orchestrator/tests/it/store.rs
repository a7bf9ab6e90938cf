//! An in-memory registry with fences, leases on tokio's paused time, joins, pre-emption and tombstones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Accepted, Clock, FailedCheck, LastOutcome, NewOperation, OperationResult, OperationUpdate, Operations,
    RequestFingerprint, Requested, RestoreRefusal, StoreError, TownChange, TownHealth, User, Users, WorkerId,
};
use gastown_domain::{
    Drift, Failure, Fence, IdleFacts, IdleStop, IdleVerdict, Operation, OperationId, OperationKind, Phase, Progress,
    RecordedOperation, Rejection, Rig, RigStatus, Town, TownId, TownStatus, UserId, judge_idle,
};
use tokio::time::Instant;

use crate::env::PausedClock;
use crate::faults::{Call, Fault, FromFault as _, Process, Query, Schedule};
use crate::ledger::Ledger;
use crate::process::HANG;
use crate::records::{DriftUpdate, Records};
use crate::registry::pepper_of;
use crate::rollout_rows::RolloutRows;

/// A row of the operations table, with the columns that only the store uses.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) operation: Operation,
    pub(crate) owner: Option<WorkerId>,
    pub(crate) lease_until: Option<DateTime<Utc>>,
}

/// All rows.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) towns: BTreeMap<TownId, Town>,
    pub(crate) rigs: Vec<Rig>,
    pub(crate) operations: BTreeMap<TownId, Row>,
    pub(crate) outcomes: BTreeMap<OperationId, OperationResult>,
    /// The end of the last operation of each town.
    pub(crate) ends: BTreeMap<TownId, LastOutcome>,
    /// Every operation that was ever accepted: its town, its kind, and its user.
    pub(crate) accepted: BTreeMap<OperationId, (TownId, OperationKind, UserId)>,
    /// When each town was soft-deleted, by a clock that no test shifts.
    pub(crate) soft_deleted: BTreeMap<TownId, Instant>,
    /// When the first restore of each town was accepted, by the same clock.
    pub(crate) restores: BTreeMap<TownId, Instant>,
    pub(crate) keys: BTreeMap<(UserId, String), (RequestFingerprint, TownId, OperationId)>,
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) blocked: BTreeSet<UserId>,
    pub(crate) records: Records,
    pub(crate) rollouts: RolloutRows,
    pub(crate) ledger: Ledger,
}

/// The database, which outlives every process.
pub(crate) struct Store {
    rows: Mutex<Rows>,
    schedule: Mutex<Schedule>,
    pub(crate) clock: PausedClock,
}

impl Store {
    pub(crate) fn new(clock: PausedClock) -> Self {
        Self { rows: Mutex::default(), schedule: Mutex::default(), clock }
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap()
    }

    pub(crate) fn town(&self, town: TownId) -> Town {
        self.rows().towns[&town].clone()
    }
}

/// The connection of one process.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) store: Arc<Store>,
    pub(crate) process: Process,
}

impl Connection {
    /// Runs one transaction.
    pub(crate) async fn query<T>(
        &self,
        query: Query,
        work: impl FnOnce(&mut Rows, DateTime<Utc>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.process.checkpoint().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.process.checkpoint().await;
        let fault = self.store.schedule().inject(Call::Store(query));
        let run = || work(&mut self.store.rows(), self.store.clock.now());
        match fault {
            None => run(),
            Some(Fault::CrashBefore) => self.process.crash().await,
            Some(Fault::CrashAfter) => {
                let _ = run();
                self.process.crash().await
            }
            Some(Fault::HangBefore) => {
                self.process.hang(HANG);
                self.process.checkpoint().await;
                run()
            }
            Some(Fault::HangAfter) => {
                let result = run();
                self.process.hang(HANG);
                self.process.checkpoint().await;
                result
            }
            Some(fault) => {
                if fault == Fault::ReplyLost {
                    let _ = run();
                }
                Err(StoreError::from_fault(fault, Call::Store(query)))
            }
        }
    }
}

impl Rows {
    /// Returns true if the town needs an operation and has none.
    fn is_stranded(&self, town: &Town) -> bool {
        let holds_an_id = town.machine_id.is_some() || town.volume_id.is_some();
        let unfinished = if town.is_tombstone() { holds_an_id } else { town.status == TownStatus::Provisioning };
        unfinished && !self.operations.contains_key(&town.id)
    }

    pub(crate) fn insert_operation(
        &mut self,
        request: &NewOperation,
        fence: i64,
        progress: Progress,
        now: DateTime<Utc>,
    ) {
        let claim = request.claim.clone();
        // An operation that replaces another one keeps its progress.
        let is_new = fence == 0;
        let (step, progress, fence) = match &claim {
            Some(claim) if is_new => (claim.step.map(Into::into), claim.progress.clone(), 1),
            Some(_) | None => (None, progress, fence),
        };
        let operation = Operation {
            id: request.id,
            town: request.town,
            kind: request.kind,
            phase: Phase::Begun,
            step,
            attempt: 0,
            last_error: None,
            cause: None,
            requested_by: request.requested_by.clone(),
            fence,
            next_attempt_at: now,
            deadline_at: request.timeout.map(|timeout| later(now, timeout)),
            progress,
            created_at: request.at,
            updated_at: now,
        };
        let (owner, lease_until) = claim.map(|claim| (claim.worker, later(now, claim.lease))).unzip();
        self.operations.insert(request.town, Row { operation, owner, lease_until });
        self.accepted.insert(request.id, (request.town, request.kind, request.requested_by.clone()));
    }

    pub(crate) fn insert_rig(&mut self, rig: &Rig) {
        self.rigs.push(rig.clone());
        self.ledger.rig_accepted(rig);
    }

    pub(crate) fn end(&mut self, operation: OperationId, outcome: OperationResult, at: DateTime<Utc>) {
        self.outcomes.insert(operation, outcome.clone());
        if let Some((town, kind, _)) = self.accepted.get(&operation) {
            let failure = outcome.clone().err().map(|rejection| match rejection {
                Rejection::Failed(failure) | Rejection::RolledBack(failure) => failure,
                Rejection::Preempted => Failure::Preempted.into(),
            });
            self.ends.insert(
                *town,
                LastOutcome { kind: (*kind).into(), at, failure, operation: Some(operation), steps: Vec::new() },
            );
            self.ledger.operation_ended(*town, *kind, outcome);
        }
    }

    /// Requests an operation as its owner does.
    pub(crate) fn request(&mut self, request: &NewOperation, now: DateTime<Utc>) -> Requested {
        let Some(town) = self.towns.get(&request.town).filter(|town| town.owner == request.requested_by) else {
            return Requested::NotFound;
        };
        let current = self.operations.get(&request.town).map(|row| row.operation.clone());
        let destroys = request.kind == OperationKind::Destroy;
        if town.is_tombstone() {
            return match current {
                Some(removal) if destroys && removal.kind.ends_town() => Requested::Joined(removal.into()),
                _ => Requested::NotFound,
            };
        }
        let (town, replaced, mut request) = (town.clone(), current.is_some(), request.clone());
        let (fence, progress) = match current {
            Some(current) if ends_idle_stop(&request, &current).is_some() => {
                let (ending, progress) = ends_idle_stop(&request, &current).unwrap();
                self.end(current.id, Err(Rejection::Preempted), now);
                request = ending;
                (current.fence + 1, progress)
            }
            Some(current) if joins(request.kind, current.kind) => {
                return Requested::Joined(current.into());
            }
            Some(current) if !destroys && !stops_restart(request.kind, current.kind) => {
                return Requested::Busy(current.into());
            }
            Some(current) => {
                self.end(current.id, Err(Rejection::Preempted), now);
                (current.fence + 1, current.progress.for_replacement())
            }
            None if request.kind == OperationKind::Restore => {
                match restore_of(&town, &self.records.health_of(request.town)) {
                    Ok(progress) => {
                        assert_eq!(request.claim, None);
                        self.restores.entry(request.town).or_insert_with(Instant::now);
                        (0, progress)
                    }
                    Err(refusal) => return Requested::NotRestorable(refusal),
                }
            }
            None => (0, Progress::default()),
        };
        self.insert_operation(&request, fence, progress, now);
        let operation = self.operations[&request.town].operation.clone().into();
        Requested::Accepted(Box::new(Accepted { operation, town, replaced }))
    }

    /// Returns the facts by which a town is judged.
    fn idle_facts(&self, town: &Town) -> IdleFacts {
        let (uses, health) =
            (self.records.uses.get(&town.id).copied().unwrap_or_default(), self.records.health_of(town.id));
        IdleFacts {
            stop_after: town.config.idle_stop_minutes,
            status: town.status,
            has_operation: self.operations.contains_key(&town.id),
            has_unapplied_rigs: self.rigs.iter().any(|rig| rig.town == town.id && rig.status != RigStatus::Active),
            has_drift: health.drift.is_some(),
            health: health.state,
            used_at: uses.used_at,
            heard_at: uses.heard_at,
            active_polecats: uses.active_polecats,
            idle_since: uses.idle_since,
        }
    }

    /// Returns the idle stop of a town, in flight or ended.
    pub(crate) fn idle_stop_of(&self, town: &Town) -> Option<IdleStop> {
        let operation = self.operations.get(&town.id).map(|row| RecordedOperation::from(row.operation.clone()));
        let is_free = operation.as_ref().is_none_or(RecordedOperation::is_idle_stop);
        let stopped_at = self.records.health_of(town.id).idle_stopped_at;
        IdleStop::of(town.status, operation.as_ref(), stopped_at).filter(|_| is_free)
    }

    fn held(&mut self, fence: Fence) -> Result<&mut Row, StoreError> {
        let lost = StoreError::Fenced { town: fence.town };
        self.operations.get_mut(&fence.town).filter(|row| row.operation.fence() == fence).ok_or(lost)
    }

    pub(crate) fn change(&mut self, town: TownId, change: &TownChange) -> Result<(), StoreError> {
        let row = self.towns.get_mut(&town).ok_or(StoreError::TownNotFound)?;
        let status = if change.soft_deleted_at.is_some() { Some(TownStatus::Destroyed) } else { change.status };
        if let Some(status) = status {
            if !row.status.may_become(status) {
                return Err(StoreError::Refused { constraint: None, cause: "status transition not allowed".into() });
            }
            row.status = status;
        }
        if let Some(machine) = &change.machine {
            row.machine_id.clone_from(machine);
        }
        if let Some(volume) = &change.volume {
            row.volume_id.clone_from(volume);
        }
        if let Some(region) = &change.region {
            row.region.clone_from(region);
        }
        if let Some(at) = change.soft_deleted_at {
            self.soft_deleted.entry(town).or_insert_with(Instant::now);
            row.sandbox_id = row.sandbox_id.tombstone(town);
            row.destroyed_at.get_or_insert(at);
        }
        row.last_r2_sync_at = row.last_r2_sync_at.max(change.synced_at);
        Ok(())
    }
}

fn joins(request: OperationKind, current: OperationKind) -> bool {
    let is_removal = request == OperationKind::Destroy && current.ends_town();
    let is_start = (request, current) == (OperationKind::Start, OperationKind::Restart);
    let is_undone = (request, current) == (OperationKind::Restore, OperationKind::UndoRestore);
    current == request || is_removal || is_start || is_undone
}

/// Returns the first progress of a restore.
fn restore_of(town: &Town, health: &TownHealth) -> Result<Progress, RestoreRefusal> {
    if health.drift.as_ref().is_none_or(|(drift, _)| *drift != Drift::VolumeLost) {
        return Err(RestoreRefusal::VolumeNotLost);
    }
    let saved_at = town.last_r2_sync_at.ok_or(RestoreRefusal::NeverSaved)?;
    let (lost_volume, lost_region) = (town.volume_id.clone(), town.region.clone());
    Ok(Progress { lost_volume, lost_region, saved_at: Some(saved_at), ..Progress::default() })
}

/// Returns the request with which an owner ends an idle stop, and its progress.
fn ends_idle_stop(request: &NewOperation, current: &Operation) -> Option<(NewOperation, Progress)> {
    let stop = RecordedOperation::from(current.clone());
    let is_request = request.kind == OperationKind::Start || request.kind == OperationKind::Stop;
    if !is_request || !stop.is_idle_stop() {
        return None;
    }
    let (progress, mut request) = (current.progress.clone().for_replacement(), request.clone());
    let restarts = request.kind == OperationKind::Start && stop.may_have_stopped_machine();
    if restarts {
        request.kind = OperationKind::Restart;
    }
    Some((request, Progress { by_owner: restarts, ..progress }))
}

fn stops_restart(request: OperationKind, current: OperationKind) -> bool {
    (request, current) == (OperationKind::Stop, OperationKind::Restart)
}

fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    now + by
}

#[async_trait]
impl Operations for Connection {
    async fn request(&self, request: &NewOperation) -> Result<Requested, StoreError> {
        self.query(Query::Request, |rows, now| Ok(rows.request(request, now))).await
    }

    async fn current(&self, town: TownId) -> Result<Option<RecordedOperation>, StoreError> {
        let read = |row: &Row| row.operation.clone().into();
        self.query(Query::Current, |rows, _| Ok(rows.operations.get(&town).map(read))).await
    }

    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError> {
        self.query(Query::Claim, |rows, now| {
            let Some(row) = rows.operations.get_mut(&town) else { return Ok(None) };
            if !row.is_free(now) || !row.is_due(now) {
                return Ok(None);
            }
            Ok(Some(row.claim(worker, later(now, lease))))
        })
        .await
    }

    async fn claim_due(&self, worker: &WorkerId, lease: Duration, limit: u32) -> Result<Vec<Operation>, StoreError> {
        self.query(Query::ClaimDue, |rows, now| {
            let due = rows.due_in_claim_order(now);
            let due = due.into_iter().take(limit as usize);
            let claim = |town| rows.operations.get_mut(&town).map(|row| row.claim(worker, later(now, lease)));
            Ok(due.filter_map(claim).collect())
        })
        .await
    }

    /// These rows are all of this version.
    async fn left_to_newer(&self, _limit: u32) -> Result<Vec<RecordedOperation>, StoreError> {
        Ok(Vec::new())
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<DateTime<Utc>, StoreError> {
        self.query(Query::Renew, |rows, now| {
            rows.held(fence)?.lease_until = Some(later(now, lease));
            Ok(now)
        })
        .await
    }

    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError> {
        self.query(Query::Stranded, |rows, _| {
            Ok(rows.towns.values().filter(|town| rows.is_stranded(town)).take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError> {
        self.query(Query::Reinstate, |rows, now| {
            let stranded = rows.towns.get(&operation.town).is_some_and(|town| rows.is_stranded(town));
            if stranded {
                rows.insert_operation(operation, 0, progress.clone(), now);
                if operation.kind == OperationKind::Destroy
                    && let Some(row) = rows.operations.get_mut(&operation.town)
                {
                    row.operation.phase = Phase::Settled;
                }
            }
            Ok(stranded)
        })
        .await
    }

    async fn restart(
        &self,
        operation: &NewOperation,
        progress: &Progress,
        check: Option<FailedCheck>,
    ) -> Result<bool, StoreError> {
        self.query(Query::Restart, |rows, now| {
            let is_running = rows.towns.get(&operation.town).is_some_and(|town| town.status == TownStatus::Running);
            let is_idle = !rows.operations.contains_key(&operation.town);
            let is_accepted = is_running && is_idle && rows.records.count_restart(operation.town, check);
            if is_accepted {
                rows.insert_operation(operation, 0, progress.clone(), now);
            }
            Ok(is_accepted)
        })
        .await
    }

    async fn record(&self, fence: Fence, record: &OperationUpdate) -> Result<DateTime<Utc>, StoreError> {
        self.query(Query::Record, |rows, now| {
            rows.held(fence)?;
            rows.change(fence.town, &record.town)?;
            let row = rows.held(fence)?;
            row.lease_until = record.hold.map(|hold| later(now, hold));
            if record.hold.is_none() {
                row.owner = None;
            }
            let operation = &mut row.operation;
            operation.kind = record.kind;
            operation.phase = record.phase;
            operation.step.clone_from(&record.step);
            operation.attempt = record.attempt;
            operation.last_error.clone_from(&record.last_error);
            operation.cause.clone_from(&record.cause);
            operation.progress.clone_from(&record.progress);
            operation.deadline_at = record.deadline_at;
            operation.next_attempt_at = later(now, record.wait);
            operation.updated_at = now;
            if record.town.soft_deleted_at.is_some() {
                rows.records.record_operation(fence.town, now, DriftUpdate::Cleared);
            }
            Ok(now)
        })
        .await
    }

    async fn idle_towns(&self, limit: u32) -> Result<Vec<(TownId, UserId)>, StoreError> {
        self.query(Query::IdleTowns, |rows, now| {
            let is_idle = |town: &&Town| matches!(judge_idle(&rows.idle_facts(town), now), IdleVerdict::Idle { .. });
            let idle = rows.towns.values().filter(is_idle).take(limit as usize);
            Ok(idle.map(|town| (town.id, town.owner.clone())).collect())
        })
        .await
    }

    async fn stop_idle(&self, operation: &NewOperation) -> Result<IdleVerdict, StoreError> {
        self.query(Query::StopIdle, |rows, now| {
            let verdict = judge_idle(&rows.idle_facts(&rows.towns[&operation.town]), now);
            if let IdleVerdict::Idle { since } = verdict {
                let progress = Progress { idle_since: Some(since), ..Progress::default() };
                rows.insert_operation(operation, 0, progress, now);
            }
            Ok(verdict)
        })
        .await
    }

    async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        self.query(Query::Release, |rows, _| {
            let row = rows.held(fence)?;
            (row.owner, row.lease_until) = (None, None);
            Ok(())
        })
        .await
    }

    async fn finish(
        &self,
        operation: &Operation,
        outcome: OperationResult,
        town: &TownChange,
    ) -> Result<Town, StoreError> {
        let fence = operation.fence();
        self.query(Query::Finish, |rows, now| {
            rows.held(fence)?;
            rows.change(fence.town, town)?;
            rows.operations.remove(&fence.town);
            rows.end(fence.operation, outcome.clone(), now);
            let drift = match town.drift {
                Some(found) => DriftUpdate::Found(found),
                None if outcome.is_ok() || town.soft_deleted_at.is_some() => DriftUpdate::Cleared,
                None => DriftUpdate::Kept,
            };
            rows.records.record_operation(fence.town, now, drift);
            if outcome.is_ok() {
                let is_idle_stop = RecordedOperation::from(operation.clone()).is_idle_stop();
                rows.records.health.entry(fence.town).or_default().idle_stopped_at = is_idle_stop.then_some(now);
            }
            if operation.progress.may_have_given_image() {
                let health = rows.records.health.entry(fence.town).or_default();
                health.image = operation.progress.known_image().cloned();
            }
            Ok(rows.towns[&fence.town].clone())
        })
        .await
    }

    async fn outcome(&self, operation: OperationId) -> Result<Option<OperationResult>, StoreError> {
        self.query(Query::Outcome, |rows, _| Ok(rows.outcomes.get(&operation).cloned())).await
    }
}

#[async_trait]
impl Users for Connection {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.query(Query::User, |rows, _| {
            let known = rows.users.contains(id);
            Ok(known.then(|| User {
                id: id.clone(),
                pepper: Some(pepper_of(id)),
                is_blocked: rows.blocked.contains(id),
            }))
        })
        .await
    }
}
