//! The registry's ports for towns and rigs on the in-memory store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    AcceptedCreate, Caller, CallersTown, ConfigUpdated, EventPage, NewCreate, NewOperation, Registry, Requested, Rigs,
    StoreError, TownReport, TownState, TownSummary, UpdateTown,
};
use gastown_domain::{
    Branch, Heartbeat, HistoryEvent, IdleMinutes, IdleStop, Progress, REPORT_IS_STALE_AFTER, RecordedOperation,
    RefusedRig, Rig, RigId, RigStatus, Town, TownId, TownStatus, USE_COUNTS_FOR, UserId,
};
use secrecy::SecretString;

use crate::faults::Query;
use crate::store::{Connection, Rows};

/// Returns the pepper of a user of the host application.
pub(crate) fn pepper_of(user: &UserId) -> SecretString {
    format!("pepper of {user}").into()
}

impl Rows {
    /// Returns true if a recorded use of the town stands for a present one.
    fn use_is_recorded(&self, town: TownId, now: DateTime<Utc>) -> bool {
        let used_at = self.records.uses.get(&town).and_then(|uses| uses.used_at);
        used_at.is_some_and(|at| at + USE_COUNTS_FOR > now)
    }

    fn add_rig(&mut self, owner: &UserId, rig: &Rig) -> Result<(), StoreError> {
        let living = self.towns.get(&rig.town).is_some_and(|row| row.owner == *owner && !row.is_tombstone());
        if !living {
            return Err(StoreError::TownNotFound);
        }
        if self.rigs.iter().any(|row| row.town == rig.town && row.name.folded() == rig.name.folded()) {
            return Err(StoreError::RigNameTaken);
        }
        self.insert_rig(rig);
        Ok(())
    }

    /// Refuses a token that does not carry the pepper of a known user.
    fn authorize(&self, caller: &Caller) -> Result<(), StoreError> {
        let is_known = self.users.contains(caller.user()) || matches!(caller, Caller::Trusted(_));
        let is_authorized = is_known && caller.is_authorized(Some(&pepper_of(caller.user())));
        if is_authorized { Ok(()) } else { Err(StoreError::Unauthorized) }
    }
}

#[async_trait]
impl Registry for Connection {
    async fn accept_create(&self, create: &NewCreate) -> Result<AcceptedCreate, StoreError> {
        let NewCreate { town, operation, keyed, max_towns } = create;
        self.query(Query::AcceptCreate, |rows, now| {
            if !rows.users.contains(&town.owner) {
                return Err(StoreError::UserUnknown);
            }
            let keyed =
                keyed.as_ref().map(|it| ((town.owner.clone(), it.key.as_str().to_owned()), it.fingerprint.clone()));
            if let Some((key, fingerprint)) = &keyed
                && let Some((before, known, operation)) = rows.keys.get(key)
            {
                if before != fingerprint {
                    return Err(StoreError::KeyReused);
                }
                return Ok(AcceptedCreate::Known { town: *known, operation: *operation });
            }
            let living = rows.towns.values().filter(|row| row.owner == town.owner && !row.is_tombstone()).count();
            if living >= *max_towns as usize {
                return Err(StoreError::TooManyTowns { limit: *max_towns });
            }
            let twin = |row: &Town| row.owner == town.owner && row.name == town.name && !row.is_tombstone();
            if rows.towns.values().any(twin) {
                return Err(StoreError::TownNameTaken);
            }
            rows.towns.insert(town.id, town.row());
            if town.config.idle_stop_minutes.is_some() {
                rows.records.uses.entry(town.id).or_default().used_at = Some(now);
            }
            for rig in &town.rigs {
                rows.insert_rig(rig);
            }
            rows.insert_operation(operation, 0, Progress::default(), now);
            if let Some((key, fingerprint)) = keyed {
                rows.keys.insert(key, (fingerprint, town.id, operation.id));
            }
            let inserted = rows.operations[&town.id].operation.clone().into();
            Ok(AcceptedCreate::Inserted(Box::new(inserted)))
        })
        .await
    }

    async fn report(&self, caller: &Caller, town: TownId) -> Result<Option<TownReport>, StoreError> {
        self.query(Query::ReportTown, |rows, now| {
            rows.authorize(caller)?;
            let in_flight = rows.operations.contains_key(&town);
            let found = rows.towns.get(&town).filter(|row| row.owner == *caller.user());
            let found = found.filter(|row| !row.is_tombstone() || in_flight);
            Ok(found.cloned().map(|found| TownReport {
                town: found,
                rigs: rows.rigs.iter().filter(|rig| rig.town == town).cloned().collect(),
                health: rows.records.health_of(town),
                operation: rows.operations.get(&town).map(|row| row.operation.clone().into()),
                last_outcome: rows.ends.get(&town).cloned(),
                owner_is_blocked: rows.blocked.contains(caller.user()),
                use_is_recorded: rows.use_is_recorded(town, now),
            }))
        })
        .await
    }

    async fn callers_town(&self, caller: &Caller, town: TownId) -> Result<Option<CallersTown>, StoreError> {
        self.query(Query::CallersTown, |rows, now| {
            rows.authorize(caller)?;
            let operation: Option<RecordedOperation> =
                rows.operations.get(&town).map(|row| row.operation.clone().into());
            let found = rows.towns.get(&town).filter(|row| row.owner == *caller.user());
            let found = found.filter(|row| !row.is_tombstone() || operation.is_some()).cloned();
            let owner_is_blocked = rows.blocked.contains(caller.user());
            let idle_stopped_at = rows.records.health_of(town).idle_stopped_at;
            let use_is_recorded = rows.use_is_recorded(town, now);
            let state = |town| TownState { town, operation };
            let with = |state| CallersTown { state, owner_is_blocked, idle_stopped_at, use_is_recorded };
            Ok(found.map(state).map(with))
        })
        .await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<TownSummary>, StoreError> {
        self.query(Query::ListTowns, |rows, _| {
            rows.authorize(caller)?;
            let is_living = |row: &&Town| row.owner == *caller.user() && !row.is_tombstone();
            let mut living: Vec<_> = rows.towns.values().filter(is_living).cloned().collect();
            living.sort_by_key(|row| row.created_at);
            let in_flight = |town: &Town| rows.operations.get(&town.id).map(|row| row.operation.clone().into());
            Ok(living.into_iter().map(|town| TownState { operation: in_flight(&town), town }.into()).collect())
        })
        .await
    }

    async fn events(&self, caller: &Caller, page: EventPage) -> Result<Option<Vec<HistoryEvent>>, StoreError> {
        self.query(Query::ListEvents, |rows, _| {
            rows.authorize(caller)?;
            let in_flight = rows.operations.contains_key(&page.town);
            let found = rows.towns.get(&page.town).filter(|row| row.owner == *caller.user());
            // The store keeps no events.
            Ok(found.filter(|row| !row.is_tombstone() || in_flight).map(|_| Vec::new()))
        })
        .await
    }

    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError> {
        self.query(Query::LoadTown, |rows, _| Ok(rows.towns.get(&town).cloned())).await
    }

    async fn update_config(&self, owner: &UserId, request: &UpdateTown) -> Result<ConfigUpdated, StoreError> {
        self.query(Query::UpdateConfig, |rows, now| {
            let operation = rows.operations.get(&request.town).map(|row| row.operation.clone());
            let found = rows.towns.get_mut(&request.town).filter(|row| row.owner == *owner && !row.is_tombstone());
            let Some(town) = found else { return Ok(ConfigUpdated::NotFound) };
            if let Some(removal) = operation.as_ref().filter(|operation| operation.kind.removes()) {
                return Ok(ConfigUpdated::Busy(removal.kind.into()));
            }
            let stored = serde_json::to_value(&town.config).unwrap().as_object().unwrap().clone();
            let after = request.config.applied_to(&stored, &town.config);
            if after.as_ref() != Ok(&stored) && town.config.version() != request.expected {
                return Ok(ConfigUpdated::Changed);
            }
            let setting = town.config.idle_stop_minutes;
            match after {
                Ok(after) => town.config = serde_json::from_value(after.into()).unwrap(),
                Err(refusal) => return Ok(ConfigUpdated::Refused(refusal)),
            }
            let operation = operation.map(Into::into);
            if town.config.idle_stop_minutes != setting {
                rows.records.uses.entry(request.town).or_default().used_at = Some(now);
            }
            Ok(ConfigUpdated::Done(Box::new(TownState { town: town.clone(), operation })))
        })
        .await
    }

    async fn owners(&self, towns: &[TownId]) -> Result<Vec<(TownId, UserId)>, StoreError> {
        let owner = |rows: &Rows, town: &TownId| Some((*town, rows.towns.get(town)?.owner.clone()));
        self.query(Query::Owners, |rows, _| Ok(towns.iter().filter_map(|town| owner(rows, town)).collect())).await
    }

    async fn record_use(&self, town: TownId, _: IdleMinutes) -> Result<(), StoreError> {
        self.query(Query::RecordUse, |rows, now| {
            rows.records.uses.entry(town).or_default().used_at = Some(now);
            Ok(())
        })
        .await
    }

    async fn lives(&self, town: TownId) -> Result<bool, StoreError> {
        self.query(Query::Lives, |rows, _| Ok(rows.towns.get(&town).is_some_and(|row| !row.is_tombstone()))).await
    }

    async fn record_heartbeats(&self, heartbeats: &[Heartbeat]) -> Result<Vec<TownId>, StoreError> {
        self.query(Query::RecordHeartbeats, |rows, now| {
            let mut live = Vec::new();
            for beat in heartbeats {
                if let Some(row) = rows.towns.get_mut(&beat.town).filter(|row| !row.is_tombstone()) {
                    row.last_heartbeat_at = row.last_heartbeat_at.max(Some(beat.received_at));
                    row.last_r2_sync_at = row.last_r2_sync_at.max(beat.synced_at);
                    live.push(beat.town);
                    let uses = rows.records.uses.entry(beat.town).or_default();
                    let has_gap = uses.heard_at.is_none_or(|at| at + REPORT_IS_STALE_AFTER < now);
                    let before = uses.idle_since.filter(|_| !has_gap);
                    uses.idle_since = beat.is_idle.then_some(before.unwrap_or(now));
                    (uses.heard_at, uses.active_polecats) = (Some(now), beat.report.active_polecats);
                }
            }
            Ok(live)
        })
        .await
    }

    async fn record_token(&self, town: TownId, _: DateTime<Utc>) -> Result<bool, StoreError> {
        self.query(Query::RecordToken, |rows, _| Ok(rows.towns.get(&town).is_some_and(|row| !row.is_tombstone()))).await
    }
}

#[async_trait]
impl Rigs for Connection {
    async fn list(&self, town: TownId) -> Result<Vec<Rig>, StoreError> {
        self.query(Query::ListRigs, |rows, _| Ok(rows.rigs.iter().filter(|rig| rig.town == town).cloned().collect()))
            .await
    }

    async fn find(&self, town: TownId, rig: RigId) -> Result<Option<Rig>, StoreError> {
        self.query(Query::FindRig, |rows, _| {
            Ok(rows.rigs.iter().find(|row| row.town == town && row.id == rig).cloned())
        })
        .await
    }

    async fn insert(&self, owner: &UserId, rig: &Rig, _: u32) -> Result<(), StoreError> {
        self.query(Query::InsertRig, |rows, _| rows.add_rig(owner, rig)).await
    }

    async fn insert_starting(
        &self,
        owner: &UserId,
        rig: &Rig,
        _: u32,
        start: &NewOperation,
    ) -> Result<Option<IdleStop>, StoreError> {
        self.query(Query::InsertRigAndStart, |rows, now| {
            rows.add_rig(owner, rig)?;
            let Some(stop) = rows.idle_stop_of(&rows.towns[&rig.town]) else { return Ok(None) };
            let requested = rows.request(start, now);
            Ok(matches!(requested, Requested::Accepted(_)).then_some(stop))
        })
        .await
    }

    async fn set_status(&self, town: TownId, rig: RigId, from: RigStatus, to: RigStatus) -> Result<bool, StoreError> {
        self.query(Query::SetRigStatus, |rows, _| {
            let row = rows.rigs.iter_mut().find(|row| row.town == town && row.id == rig && row.status == from);
            let Some(row) = row else { return Ok(false) };
            row.status = to;
            rows.ledger.rig_status_changed(rig, to);
            Ok(true)
        })
        .await
    }

    async fn confirm(&self, town: TownId, rig: RigId, branch: Option<Branch>) -> Result<(), StoreError> {
        self.query(Query::ConfirmRig, |rows, _| {
            let found = |row: &&mut Rig| row.town == town && row.id == rig && row.status != RigStatus::Removing;
            let Some(row) = rows.rigs.iter_mut().find(found) else { return Ok(()) };
            row.branch = row.branch.take().or(branch);
            if row.status == RigStatus::Pending {
                row.status = RigStatus::Active;
                rows.ledger.rig_status_changed(rig, RigStatus::Active);
            }
            Ok(())
        })
        .await
    }

    async fn refuse(&self, town: TownId, rig: RigId, reason: &str) -> Result<bool, StoreError> {
        self.query(Query::RefuseRig, |rows, now| {
            let is_refused = |row: &Rig| row.town == town && row.id == rig && row.status == RigStatus::Pending;
            let Some(at) = rows.rigs.iter().position(is_refused) else { return Ok(false) };
            let row = rows.rigs.remove(at);
            let (rig_name, repo_url, reason) = (row.name, row.repo, reason.to_owned());
            let refused = RefusedRig { rig_name, repo_url, reason, refused_at: now };
            rows.records.health.entry(town).or_default().refused_rigs.push(refused);
            Ok(true)
        })
        .await
    }

    async fn remove(&self, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, StoreError> {
        self.query(Query::RemoveRig, |rows, _| {
            let before = rows.rigs.len();
            rows.rigs.retain(|row| !(row.town == town && row.id == rig && row.status == from));
            Ok(rows.rigs.len() < before)
        })
        .await
    }

    async fn towns_with_unapplied_rigs(&self, limit: u32) -> Result<Vec<TownId>, StoreError> {
        self.query(Query::TownsWithPendingRigs, |rows, _| {
            let unsettled = |town: &&Town| {
                town.status == TownStatus::Running
                    && !rows.operations.contains_key(&town.id)
                    && rows.rigs.iter().any(|rig| rig.town == town.id && rig.status != RigStatus::Active)
            };
            Ok(rows.towns.values().filter(unsettled).map(|town| town.id).take(limit as usize).collect())
        })
        .await
    }
}
