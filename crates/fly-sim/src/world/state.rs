//! The contents and the clock of the world, with lookups by the names in a call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    collections::{Machines, Volumes},
    event_queue::EventQueue,
    model::{App, AppAccess, Creation, Machine, Snapshot, Volume},
};
use crate::{
    api::ExecMode,
    api_error::ApiError,
    clock::{SimClock, SimTime},
    config::SimConfig,
    ids::IdSource,
    machine_state::State,
    timing::Timing,
    workload::Workload,
};

/// The settings of a world.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) timing: Timing,
    pub(crate) org_slug: String,
    pub(crate) machine_limit: Option<usize>,
    pub(crate) workload: Option<Arc<dyn Workload>>,
    pub(crate) app_secrets: Vec<(String, SecretString)>,
    pub(crate) exec: ExecMode,
}

impl From<&SimConfig> for Settings {
    fn from(config: &SimConfig) -> Self {
        Self {
            timing: config.timing.clone(),
            org_slug: config.org_slug.clone(),
            machine_limit: config.machine_limit,
            workload: config.workload.clone(),
            app_secrets: config.app_secrets.clone(),
            exec: config.exec.clone(),
        }
    }
}

/// The state of the simulated Fly.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) machines: Machines,
    pub(crate) volumes: Volumes,
    /// The snapshots of volumes, oldest first, which outlive their volumes.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The results of creations with an idempotency key, by scope and key.
    pub(crate) idempotent: BTreeMap<(String, String), String>,
    pub(crate) ids: IdSource,
    pub(super) events: EventQueue,
    pub(super) clock: SimClock,
    pub(super) now: SimTime,
    pub(super) sequence: u64,
}

impl World {
    pub(crate) fn new(settings: Settings, seed: u64, epoch: Option<DateTime<Utc>>) -> Self {
        Self {
            settings,
            apps: BTreeMap::new(),
            machines: Machines::default(),
            volumes: Volumes::default(),
            snapshots: Vec::new(),
            idempotent: BTreeMap::new(),
            ids: IdSource::seeded(seed),
            events: EventQueue::default(),
            clock: SimClock::start(epoch),
            now: SimTime::default(),
            sequence: 0,
        }
    }

    /// Returns the current time of the world.
    pub(crate) fn now(&self) -> SimTime {
        self.now
    }

    /// Returns the current wall clock time of the world.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        self.clock.wall(self.now)
    }

    /// Returns the wall clock time at `instant`.
    pub(crate) fn wall_at(&self, instant: SimTime) -> DateTime<Utc> {
        self.clock.wall(instant)
    }

    /// Returns the creation record of an entity that is created now.
    pub(crate) fn next_creation(&mut self) -> Creation {
        self.sequence += 1;
        Creation { sequence: self.sequence, at: self.now }
    }

    /// Returns tokio's time at which the next scheduled event is due, if the clock runs.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.clock.instant(self.events.next_at()?)
    }

    /// Applies every event that is due. Returns true if there was one.
    pub(crate) fn catch_up(&mut self) -> bool {
        self.advance_to(self.clock.now())
    }

    /// Moves the clock on, and applies every event that is due.
    pub(crate) fn advance_clock(&mut self, by: Duration) {
        self.clock.advance(by);
        self.catch_up();
    }

    /// Stops the clock, or lets it go on.
    pub(crate) fn set_clock_frozen(&mut self, frozen: bool) {
        self.clock.set_frozen(frozen);
    }

    /// Returns true if the clock is stopped.
    pub(crate) fn is_clock_frozen(&self) -> bool {
        self.clock.is_frozen()
    }

    /// Returns an app that callers have access to.
    pub(crate) fn app(&mut self, name: &str) -> Result<&mut App, ApiError> {
        let app = self.apps.get_mut(name).ok_or(ApiError::AppNotFound)?;
        match app.access {
            AppAccess::Open => Ok(app),
            AppAccess::NotFound => Err(ApiError::AppNotFound),
            AppAccess::Forbidden => Err(ApiError::ForeignApp),
        }
    }

    /// Sets the access that callers have to an app. Returns true if the app exists.
    pub(crate) fn set_app_access(&mut self, app: &str, access: AppAccess) -> bool {
        self.apps.get_mut(app).map(|app| app.access = access).is_some()
    }

    /// Resolves an organization's slug. `personal` is an alias of the caller's own organization.
    pub(crate) fn org<'a>(&'a self, slug: &'a str) -> &'a str {
        if slug == "personal" { &self.settings.org_slug } else { slug }
    }

    /// Returns a machine of the app, which may be destroyed.
    pub(crate) fn machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, ApiError> {
        self.app(app)?;
        self.machines.get_mut(id).filter(|machine| machine.app == app).ok_or(ApiError::MachineNotFound)
    }

    /// Returns a machine of the app if reads show it already.
    pub(crate) fn visible_machine(&mut self, app: &str, id: &str) -> Result<&Machine, ApiError> {
        let now = self.now();
        let machine = self.machine(app, id)?;
        if machine.visible_from <= now { Ok(machine) } else { Err(ApiError::MachineNotFound) }
    }

    /// Returns a machine of the app that is not destroyed.
    pub(crate) fn live_machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, ApiError> {
        let machine = self.machine(app, id)?;
        if machine.state == State::Destroyed { Err(ApiError::MachineNotFound) } else { Ok(machine) }
    }

    /// Returns a machine of the app that is not destroyed and whose host is up.
    pub(crate) fn reachable_machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, ApiError> {
        let machine = self.live_machine(app, id)?;
        if machine.host_down { Err(ApiError::HostUnreachable) } else { Ok(machine) }
    }

    /// Returns a volume of the app if reads show it already.
    pub(crate) fn visible_volume(&mut self, app: &str, id: &str) -> Result<&Volume, ApiError> {
        let now = self.now();
        let volume = self.volume(app, id)?;
        if volume.visible_from <= now { Ok(volume) } else { Err(ApiError::VolumeNotFound) }
    }

    /// Returns a snapshot of a volume of the app.
    pub(crate) fn snapshot(&mut self, app: &str, id: &str) -> Result<&Snapshot, ApiError> {
        self.app(app)?;
        let found = self.snapshots.iter().find(|snapshot| snapshot.app == app && snapshot.id == id);
        found.ok_or(ApiError::SnapshotNotFound)
    }

    /// Returns a volume of the app, which may be deleted.
    pub(crate) fn volume(&mut self, app: &str, id: &str) -> Result<&mut Volume, ApiError> {
        self.app(app)?;
        self.volumes.get_mut(id).filter(|volume| volume.app == app).ok_or(ApiError::VolumeNotFound)
    }
}
