//! In-memory records of drift checks, orphans and singleton jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    Alarm, DriftChecks, DriftRecord, DriftRound, FailedCheck, JobState, LeaderLease, ObservedOrphan, Orphan, OrphanEnd,
    Orphans, RoundFigures, RoundProgress, RoundState, SingletonJob, SingletonJobs, StoreError, TownHealth, WorkerId,
};
use gastown_domain::{
    AppName, Drift, Recorded, ResourceId, RestartCount, Town, TownId, TownRecord, TownStatus, TownTag,
};

use crate::faults::Query;
use crate::store::{Connection, Rows};

/// A singleton job, as the database stores it.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobRow {
    number: i64,
    began_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    lease_until: Option<DateTime<Utc>>,
    pub(crate) alarm: Option<Alarm>,
    /// The towns that were taken in the present round of drift checks, and its other figures.
    taken: usize,
    figures: RoundFigures,
    has_ended: bool,
}

impl JobRow {
    fn progress(&self, now: DateTime<Utc>) -> RoundProgress {
        if self.has_ended {
            RoundProgress::Ended(self.alarm.map(Recorded::Known))
        } else if self.figures.finished >= self.taken {
            RoundProgress::Complete
        } else if self.lease_until.is_some_and(|until| until > now) {
            RoundProgress::InFlight
        } else {
            RoundProgress::Abandoned
        }
    }
}

/// The use of a town.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Use {
    pub(crate) used_at: Option<DateTime<Utc>>,
    pub(crate) heard_at: Option<DateTime<Utc>>,
    pub(crate) active_polecats: Option<u32>,
    pub(crate) idle_since: Option<DateTime<Utc>>,
}

/// The records besides towns, rigs and operations.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) health: BTreeMap<TownId, TownHealth>,
    /// The next health check of each town, or the mark of the batch that has it.
    pub(crate) next_checks: BTreeMap<TownId, DateTime<Utc>>,
    /// The facts about the use of each town.
    pub(crate) uses: BTreeMap<TownId, Use>,
    /// The states of health that events told, in order.
    pub(crate) news: Vec<(TownId, String)>,
    /// Newly recorded drifts, in order.
    pub(crate) drifts: Vec<(TownId, Drift)>,
    pub(crate) orphans: BTreeMap<(AppName, ResourceId), Orphan>,
    /// Deletions that were recorded before they were sent, and by whom.
    pub(crate) deletions: Vec<(ResourceId, String)>,
    pub(crate) closed: Vec<(ResourceId, OrphanEnd)>,
    pub(crate) jobs: BTreeMap<&'static str, JobRow>,
}

impl Records {
    pub(crate) fn health_of(&self, town: TownId) -> TownHealth {
        self.health.get(&town).cloned().unwrap_or_default()
    }

    /// Counts a restart that a check requests. Returns false if the town had an operation since the check.
    pub(crate) fn count_restart(&mut self, town: TownId, check: Option<FailedCheck>) -> bool {
        let Some(check) = check else { return true };
        if self.next_checks.get(&town) != Some(&check.next_check_at) {
            return false;
        }
        let health = self.health.entry(town).or_default();
        health.restarts = check.count.restarts;
        health.window_started_at = Some(check.count.window_started_at);
        true
    }

    /// Counts a restart that a rollout requests. A check in progress finds another mark.
    pub(crate) fn count_rollout_restart(&mut self, town: TownId, count: RestartCount, now: DateTime<Utc>) {
        let health = self.health.entry(town).or_default();
        health.restarts = count.restarts;
        health.window_started_at = Some(count.window_started_at);
        self.next_checks.insert(town, now);
    }

    /// Records that an operation ended or soft-deleted the town. Earlier observations no longer count, and a check in
    /// progress finds a changed `checked_at`.
    pub(crate) fn record_operation(&mut self, town: TownId, now: DateTime<Utc>, drift: DriftUpdate) {
        self.uses.entry(town).or_default().idle_since = None;
        let health = self.health.entry(town).or_default();
        health.checked_at = Some(strictly_after(health.checked_at, now));
        health.suspicion = None;
        self.next_checks.insert(town, now);
        if drift == DriftUpdate::Cleared {
            health.failures = 0;
        }
        match drift {
            DriftUpdate::Kept => {}
            DriftUpdate::Cleared => health.drift = None,
            DriftUpdate::Found(found) if health.drift.as_ref().is_some_and(|(known, _)| *known == found) => {}
            DriftUpdate::Found(found) => {
                health.drift = Some((found.into(), now));
                self.drifts.push((town, found));
            }
        }
    }
}

/// The change to a recorded drift when an operation ends or soft-deletes its town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriftUpdate {
    Kept,
    Cleared,
    Found(Drift),
}

/// Returns now, or a time just after `before` if that is later. Two values of `checked_at` in one row are never equal.
fn strictly_after(before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    before.filter(|before| *before >= now).map_or(now, |before| before + TimeDelta::microseconds(1))
}

fn is_settled(rows: &Rows, town: &Town) -> bool {
    matches!(town.status, TownStatus::Running | TownStatus::Stopped) && !rows.operations.contains_key(&town.id)
}

/// Returns the row of a round of drift checks, unless another one has begun.
fn round_row(rows: &mut Rows, round: i64) -> Option<&mut JobRow> {
    rows.records.jobs.get_mut(SingletonJob::DriftCheck.as_str()).filter(|row| row.number == round)
}

#[async_trait]
impl DriftChecks for Connection {
    async fn join_round(&self, every: Duration) -> Result<Option<DriftRound>, StoreError> {
        self.query(Query::JoinRound, |rows, now| {
            let row = rows.records.jobs.entry(SingletonJob::DriftCheck.as_str()).or_default();
            let is_due = row.began_at.is_none_or(|at| at + every <= now);
            let is_free = row.lease_until.is_none_or(|until| until <= now);
            let is_new = is_due && is_free;
            if is_new {
                row.number += 1;
                (row.began_at, row.lease_until, row.has_ended) = (Some(now), None, false);
                (row.taken, row.figures) = (0, RoundFigures::default());
            }
            let age = row.began_at.and_then(|began_at| (now - began_at).to_std().ok()).unwrap_or_default();
            Ok((!row.has_ended).then_some(DriftRound { number: row.number, age, is_new }))
        })
        .await
    }

    async fn take_due(
        &self,
        round: i64,
        limit: u32,
        every: Duration,
        lease: Duration,
    ) -> Result<Vec<(Town, TownHealth, DateTime<Utc>)>, StoreError> {
        self.query(Query::TakeTowns, |rows, now| {
            if round_row(rows, round).is_none_or(|row| row.has_ended) {
                return Ok(Vec::new());
            }
            let unseen = |town: &Town| {
                let health = rows.records.health_of(town.id);
                let is_due = health.checked_at.is_none_or(|at| at + every <= now);
                (is_due && is_settled(rows, town)).then(|| (town.clone(), health))
            };
            let mut due: Vec<_> = rows.towns.values().filter_map(unseen).collect();
            due.sort_by_key(|(_, health)| health.checked_at);
            due.truncate(limit as usize);
            let taken_at = strictly_after(due.iter().filter_map(|(_, health)| health.checked_at).max(), now);
            for (town, _) in &due {
                rows.records.health.entry(town.id).or_default().checked_at = Some(taken_at);
            }
            if let Some(row) = round_row(rows, round).filter(|_| !due.is_empty()) {
                row.taken += due.len();
                row.lease_until = Some(now + lease);
            }
            Ok(due.into_iter().map(|(town, health)| (town, health, taken_at)).collect())
        })
        .await
    }

    async fn report(
        &self,
        round: i64,
        batch: RoundFigures,
        agreed: &[(TownId, DateTime<Utc>)],
    ) -> Result<Option<RoundState>, StoreError> {
        self.query(Query::ReportRound, |rows, now| {
            for (town, at) in agreed {
                let health = rows.records.health.entry(*town).or_default();
                if health.checked_at == Some(*at) {
                    health.compared_at = Some(*at);
                }
            }
            let Some(row) = round_row(rows, round) else { return Ok(None) };
            row.figures.finished += batch.finished;
            row.figures.compared += batch.compared;
            row.figures.absent += batch.absent;
            row.figures.refused += batch.refused;
            if row.figures.finished >= row.taken {
                row.lease_until = None;
            }
            let in_flight = row.taken.saturating_sub(row.figures.finished);
            Ok(Some(RoundState { figures: row.figures, in_flight, progress: row.progress(now) }))
        })
        .await
    }

    async fn end_round(&self, round: i64, alarm: Option<Alarm>) -> Result<bool, StoreError> {
        self.query(Query::EndRound, |rows, now| {
            let Some(row) = round_row(rows, round) else { return Ok(false) };
            if row.has_ended || (alarm.is_none() && row.figures.finished < row.taken) {
                return Ok(false);
            }
            (row.ended_at, row.alarm, row.has_ended) = (Some(now), alarm, true);
            Ok(true)
        })
        .await
    }

    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError> {
        self.query(Query::RecordDrift, |rows, now| {
            let before = rows.records.health_of(town.id);
            let is_ours = before.checked_at == Some(finding.taken_at);
            if !is_ours || !rows.towns.get(&town.id).is_some_and(|row| is_settled(rows, row)) {
                return Ok(false);
            }
            rows.change(town.id, &finding.change)?;
            if let Some(status) = finding.change.status {
                rows.records.uses.entry(town.id).or_default().idle_since = None;
                rows.records.health.entry(town.id).or_default().idle_stopped_at = None;
                rows.ledger.drift_recorded(town.id, status);
            }
            let known = before.drift.filter(|(drift, _)| Some(drift) == finding.drift.as_ref());
            if let (None, Some(drift)) = (&known, finding.drift.as_ref().and_then(Recorded::known)) {
                rows.records.drifts.push((town.id, drift));
            }
            let health = rows.records.health.entry(town.id).or_default();
            (health.suspicion, health.compared_at) = (finding.suspicion, Some(finding.taken_at));
            health.drift = known.or_else(|| finding.drift.clone().map(|drift| (drift, now)));
            Ok(true)
        })
        .await
    }
}

#[async_trait]
impl Orphans for Connection {
    async fn town_records(&self, tags: &[TownTag]) -> Result<Vec<TownRecord>, StoreError> {
        self.query(Query::TownRecords, |rows, _| {
            let named = rows.towns.values().filter(|town| tags.iter().any(|tag| tag.names(town.id)));
            let account = |town: &Town| TownRecord {
                town: town.id,
                status: town.status,
                machine: town.machine_id.clone(),
                volume: town.volume_id.clone(),
                in_flight: rows.operations.contains_key(&town.id),
            };
            Ok(named.map(account).collect())
        })
        .await
    }

    async fn record_seen(&self, seen: &[ObservedOrphan]) -> Result<Vec<Orphan>, StoreError> {
        self.query(Query::RecordOrphans, |rows, now| {
            let records = &mut rows.records.orphans;
            let note = |sighting: &ObservedOrphan| {
                let ObservedOrphan { app, item, reason } = sighting;
                let key = (app.clone(), item.resource.clone());
                let known = records.get(&key).filter(|known| known.reason == *reason).cloned();
                let mut entry = known.unwrap_or_else(|| Orphan {
                    app: app.clone(),
                    resource: item.resource.clone(),
                    name: item.name.clone(),
                    reason: (*reason).into(),
                    first_seen_at: now,
                    last_seen_at: now,
                    times_seen: 0,
                    deletion_asked_at: None,
                });
                (entry.last_seen_at, entry.times_seen) = (now, entry.times_seen + 1);
                records.insert(key, entry.clone());
                entry
            };
            Ok(seen.iter().map(note).collect())
        })
        .await
    }

    async fn list(&self) -> Result<(Vec<Orphan>, DateTime<Utc>), StoreError> {
        self.query(Query::OrphanRecords, |rows, now| {
            let mut records: Vec<_> = rows.records.orphans.values().cloned().collect();
            records.sort_by_key(|entry| entry.first_seen_at);
            Ok((records, now))
        })
        .await
    }

    async fn log_deletion(&self, app: &AppName, thing: &ResourceId, actor: &str) -> Result<(), StoreError> {
        self.query(Query::RecordDeletion, |rows, now| {
            let entry = rows.records.orphans.get_mut(&(app.clone(), thing.clone()));
            let Some(entry) = entry else {
                return Err(StoreError::Refused { constraint: None, cause: "no such orphan record".into() });
            };
            entry.deletion_asked_at.get_or_insert(now);
            rows.records.deletions.push((thing.clone(), actor.to_owned()));
            Ok(())
        })
        .await
    }

    async fn close(&self, app: &AppName, thing: &ResourceId, end: OrphanEnd) -> Result<(), StoreError> {
        self.query(Query::CloseOrphan, |rows, _| {
            if rows.records.orphans.remove(&(app.clone(), thing.clone())).is_some() {
                rows.records.closed.push((thing.clone(), end));
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl SingletonJobs for Connection {
    async fn claim(
        &self,
        pass: SingletonJob,
        _: &WorkerId,
        lease: Duration,
        every: Duration,
    ) -> Result<Option<LeaderLease>, StoreError> {
        self.query(Query::ClaimJob, |rows, now| {
            let row = rows.records.jobs.entry(pass.as_str()).or_default();
            let is_due = row.began_at.is_none_or(|at| at + every <= now);
            let is_free = row.lease_until.is_none_or(|until| until <= now);
            if !is_due || !is_free {
                return Ok(None);
            }
            row.number += 1;
            (row.began_at, row.lease_until) = (Some(now), Some(now + lease));
            Ok(Some(LeaderLease { job: pass, number: row.number }))
        })
        .await
    }

    async fn renew(&self, claim: LeaderLease, lease: Duration) -> Result<bool, StoreError> {
        self.query(Query::RenewJob, |rows, now| {
            let Some(row) = held(rows, claim) else { return Ok(false) };
            row.lease_until = Some(now + lease);
            Ok(true)
        })
        .await
    }

    async fn finish(&self, claim: LeaderLease, alarm: Option<Alarm>) -> Result<(), StoreError> {
        self.query(Query::EndJob, |rows, now| {
            if let Some(row) = held(rows, claim) {
                (row.ended_at, row.lease_until, row.alarm) = (Some(now), None, alarm);
            }
            Ok(())
        })
        .await
    }

    async fn states(&self) -> Result<Vec<JobState>, StoreError> {
        self.query(Query::JobStates, |rows, _| {
            let state = |pass: SingletonJob| {
                let row = rows.records.jobs.get(pass.as_str()).cloned().unwrap_or_default();
                JobState { job: pass, ended_at: row.ended_at, alarm: row.alarm.map(Recorded::Known) }
            };
            Ok(SingletonJob::ALL.into_iter().map(state).collect())
        })
        .await
    }
}

fn held(rows: &mut Rows, claim: LeaderLease) -> Option<&mut JobRow> {
    rows.records.jobs.get_mut(claim.job.as_str()).filter(|row| row.number == claim.number)
}
