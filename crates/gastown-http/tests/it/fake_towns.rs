//! Towns in memory, with enough state for the recorded wire and for the TypeScript clients. Every operation ends at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::{
    EventAction, EventActor, EventId, EventOutcome, HistoryEvent, ListPosition, Region, Rig, RigId, RigStatus,
    SandboxId, Town, TownId, TownStatus, UserId, WatchPosition, changes, list_at_first,
    ports::{
        AddRig, AddedRig, Caller, CreateTown, DestroyTown, EventPage, MockTownChanges, MockTownListChanges, RemoveRig,
        RemovedRig, RestoreTown, RestoredTown, RigRemoval, StartedTown, TownChanges, TownError, TownHealth,
        TownListChanges, TownPage, TownReport, TownState, TownSummary, Towns, UpdateTown,
    },
};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) fn moment() -> DateTime<Utc> {
    "2026-02-03T04:05:06.789123Z".parse().unwrap()
}

/// Returns a town as it is right after its creation.
pub(crate) fn town(caller: &Caller, id: TownId, request: CreateTown) -> Town {
    let owner = caller.user();
    Town {
        id,
        owner: owner.clone(),
        sandbox_id: SandboxId::derive(owner, &request.name),
        name: request.name,
        machine_id: Some("148ed21a031189".parse().unwrap()),
        volume_id: Some("vol_9vlz".parse().unwrap()),
        region: Some(request.region.unwrap_or_else(|| "iad".parse::<Region>().unwrap())),
        status: TownStatus::Running,
        last_r2_sync_at: None,
        last_heartbeat_at: Some(moment()),
        config: request.config,
        created_at: moment(),
        destroyed_at: None,
    }
}

#[derive(Default)]
pub(crate) struct FakeTowns {
    state: Mutex<State>,
    /// Stops and lists wait for it.
    waits_for: Option<Arc<Notify>>,
}

impl FakeTowns {
    pub(crate) fn that_wait_for(release: Arc<Notify>) -> Self {
        Self { waits_for: Some(release), ..Self::default() }
    }

    async fn wait(&self) {
        if let Some(release) = &self.waits_for {
            release.notified().await;
        }
    }
}

#[derive(Default)]
struct State {
    made: u128,
    towns: Vec<Town>,
    rigs: Vec<Rig>,
}

impl State {
    fn id(&mut self) -> Uuid {
        self.made += 1;
        Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + self.made)
    }

    fn town(&mut self, caller: &UserId, id: TownId) -> Result<&mut Town, TownError> {
        let mine = |town: &&mut Town| town.id == id && town.owner == *caller && !town.is_tombstone();
        self.towns.iter_mut().find(mine).ok_or(TownError::NotFound)
    }

    fn set(&mut self, caller: &UserId, id: TownId, status: TownStatus) -> Result<TownState, TownError> {
        let town = self.town(caller, id)?;
        town.status = status;
        town.destroyed_at = (status == TownStatus::Destroyed).then(moment);
        Ok(TownState::idle(town.clone()))
    }
}

#[async_trait]
impl Towns for FakeTowns {
    async fn create_town(&self, caller: &Caller, request: CreateTown) -> Result<TownState, TownError> {
        let mut state = self.state.lock().unwrap();
        let taken = |town: &Town| town.owner == *caller.user() && town.name == request.name && !town.is_tombstone();
        if state.towns.iter().any(taken) {
            return Err(TownError::NameTaken);
        }
        let made = town(caller, TownId::new(state.id()), request);
        state.towns.push(made.clone());
        Ok(TownState::idle(made))
    }

    async fn destroy_town(&self, caller: &Caller, request: DestroyTown) -> Result<TownState, TownError> {
        self.state.lock().unwrap().set(caller.user(), request.town, TownStatus::Destroyed)
    }

    async fn stop_town(&self, caller: &Caller, town: TownId) -> Result<TownState, TownError> {
        self.wait().await;
        self.state.lock().unwrap().set(caller.user(), town, TownStatus::Stopped)
    }

    async fn start_town(&self, caller: &Caller, town: TownId) -> Result<StartedTown, TownError> {
        let town = self.state.lock().unwrap().set(caller.user(), town, TownStatus::Running)?;
        Ok(StartedTown { town, idle_stop: None })
    }

    async fn restore_town(&self, caller: &Caller, request: RestoreTown) -> Result<RestoredTown, TownError> {
        let town = self.state.lock().unwrap().set(caller.user(), request.town, TownStatus::Running)?;
        Ok(RestoredTown { town, saved_at: moment() })
    }

    async fn update_town(&self, caller: &Caller, request: UpdateTown) -> Result<TownState, TownError> {
        let mut state = self.state.lock().unwrap();
        let town = state.town(caller.user(), request.town)?;
        let stored = serde_json::to_value(&town.config).unwrap().as_object().unwrap().clone();
        let after = request.config.applied_to(&stored, &town.config);
        if after.as_ref() != Ok(&stored) && town.config.version() != request.expected {
            return Err(TownError::ConfigChanged);
        }
        town.config = serde_json::from_value(after.map_err(TownError::ConfigRefused)?.into()).unwrap();
        Ok(TownState::idle(town.clone()))
    }

    async fn add_rig(&self, caller: &Caller, request: AddRig) -> Result<AddedRig, TownError> {
        let mut state = self.state.lock().unwrap();
        let town = TownState::idle(state.town(caller.user(), request.town)?.clone());
        if state.rigs.iter().any(|rig| rig.town == request.town && rig.name.folded() == request.name.folded()) {
            return Err(TownError::RigNameTaken);
        }
        let rig = Rig {
            id: RigId::new(state.id()),
            town: request.town,
            name: request.name,
            repo: request.repo,
            branch: request.branch,
            status: RigStatus::Active,
            config: request.config,
            created_at: moment(),
        };
        state.rigs.push(rig.clone());
        Ok(AddedRig { rig, town, idle_stop: None })
    }

    async fn remove_rig(&self, caller: &Caller, request: RemoveRig) -> Result<RemovedRig, TownError> {
        let mut state = self.state.lock().unwrap();
        let town = TownState::idle(state.town(caller.user(), request.town)?.clone());
        let before = state.rigs.len();
        state.rigs.retain(|rig| rig.id != request.rig || rig.town != request.town);
        if state.rigs.len() == before {
            return Err(TownError::RigNotFound);
        }
        Ok(RemovedRig { removal: RigRemoval::Removed, town })
    }

    async fn town_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError> {
        let mut state = self.state.lock().unwrap();
        let found = state.town(caller.user(), town)?.clone();
        let rigs = state.rigs.iter().filter(|rig| rig.town == town).cloned().collect();
        Ok(TownReport {
            town: found,
            rigs,
            health: TownHealth::default(),
            operation: None,
            last_outcome: None,
            owner_is_blocked: false,
            use_is_recorded: false,
        })
    }

    async fn rig(&self, caller: &Caller, town: TownId, rig: RigId) -> Result<Rig, TownError> {
        let mut state = self.state.lock().unwrap();
        state.town(caller.user(), town)?;
        let found = state.rigs.iter().find(|known| known.id == rig && known.town == town);
        found.cloned().ok_or(TownError::RigNotFound)
    }

    async fn list_towns(&self, caller: &Caller, page: TownPage) -> Result<Vec<TownSummary>, TownError> {
        self.wait().await;
        let state = self.state.lock().unwrap();
        let mine = state.towns.iter().filter(|town| town.owner == *caller.user() && !town.is_tombstone());
        let rest = mine.filter(|town| page.after.is_none_or(|after| town.id > after));
        Ok(rest
            .take(page.limit.unwrap_or(u32::MAX) as usize)
            .cloned()
            .map(|town| TownState::idle(town).into())
            .collect())
    }

    async fn town_events(&self, caller: &Caller, page: EventPage) -> Result<Vec<HistoryEvent>, TownError> {
        let created = self.state.lock().unwrap().town(caller.user(), page.town)?.created_at;
        let event = HistoryEvent {
            id: EventId::new(page.town.as_uuid()),
            at: created,
            actor: EventActor::User,
            action: EventAction::Create,
            outcome: EventOutcome::Accepted.into(),
            duration: None,
            rig: None,
            cause: None,
        };
        Ok(if page.before.is_none() { vec![event] } else { Vec::new() })
    }

    async fn watch_town(
        &self,
        caller: &Caller,
        town: TownId,
        after: Option<WatchPosition>,
    ) -> Result<Box<dyn TownChanges>, TownError> {
        let report = self.town_status(caller, town).await?;
        let mut told = VecDeque::from(changes(after.as_ref(), &report));
        let mut stream = MockTownChanges::new();
        stream.expect_next().returning(move || told.pop_front().map(Ok));
        Ok(Box::new(stream))
    }

    async fn watch_towns(
        &self,
        caller: &Caller,
        after: Option<ListPosition>,
    ) -> Result<Box<dyn TownListChanges>, TownError> {
        let list = self.list_towns(caller, TownPage::default()).await?;
        let mut told = VecDeque::from_iter(list_at_first(after, &list));
        let mut stream = MockTownListChanges::new();
        stream.expect_next().returning(move || told.pop_front().ok_or(TownError::Unauthorized));
        Ok(Box::new(stream))
    }

    async fn regions(&self, _: &Caller) -> Result<Vec<Region>, TownError> {
        Ok(["iad", "fra"].map(|region| region.parse().unwrap()).to_vec())
    }
}

/// Returns a rig of the town.
pub(crate) fn rig(town: TownId, status: RigStatus) -> Rig {
    Rig {
        id: RigId::new(Uuid::from_u128(7)),
        town,
        name: "app".parse().unwrap(),
        repo: "https://git.example.com/demo/app.git".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        status,
        config: serde_json::Map::new(),
        created_at: moment(),
    }
}
