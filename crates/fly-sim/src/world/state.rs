//! The world's contents, its clock, and how a call finds what it names.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    agenda::Agenda,
    model::{App, AppAccess, Born, Machine, Volume},
};
use crate::{
    clock::SimClock, ids::IdSource, machine_state::State, refusal::Refusal, sandbox_rules::SandboxRules, timing::Timing,
};

/// What the world needs to know beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) timing: Timing,
    pub(crate) org_slug: String,
    pub(crate) machine_limit: Option<usize>,
    pub(crate) sandbox: SandboxRules,
    pub(crate) app_secrets: Vec<(String, SecretString)>,
}

/// Everything on the simulated Fly.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) ids: IdSource,
    pub(super) agenda: Agenda,
    clock: SimClock,
    pub(super) now: Instant,
    order: u64,
}

impl World {
    pub(crate) fn new(settings: Settings, seed: u64, epoch: Option<DateTime<Utc>>) -> Self {
        Self {
            settings,
            apps: BTreeMap::new(),
            machines: BTreeMap::new(),
            volumes: BTreeMap::new(),
            ids: IdSource::seeded(seed),
            agenda: Agenda::default(),
            clock: SimClock::start(epoch),
            now: Instant::now(),
            order: 0,
        }
    }

    /// The moment the world is at.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The time of day in the world.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        self.clock.wall(self.now)
    }

    /// The time of day at another moment.
    pub(crate) fn wall_at(&self, instant: Instant) -> DateTime<Utc> {
        self.clock.wall(instant)
    }

    /// Marks something as made now.
    pub(crate) fn born(&mut self) -> Born {
        self.order += 1;
        Born { order: self.order, at: self.now }
    }

    /// When the next scheduled event falls due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.agenda.next_at()
    }

    /// The app, when it exists and the caller may see it.
    pub(crate) fn app(&mut self, name: &str) -> Result<&mut App, Refusal> {
        let app = self.apps.get_mut(name).ok_or(Refusal::AppNotFound)?;
        match app.access {
            AppAccess::Open => Ok(app),
            AppAccess::NotFound => Err(Refusal::AppNotFound),
            AppAccess::Forbidden => Err(Refusal::ForeignApp),
        }
    }

    /// Changes how an app looks to whoever calls; true when there is one.
    pub(crate) fn set_access(&mut self, app: &str, access: AppAccess) -> bool {
        self.apps.get_mut(app).map(|app| app.access = access).is_some()
    }

    /// The organization behind a slug: `personal` is the caller's own, whatever it is called.
    pub(crate) fn org<'a>(&'a self, slug: &'a str) -> &'a str {
        if slug == "personal" { &self.settings.org_slug } else { slug }
    }

    /// The app's machine, destroyed ones included.
    pub(crate) fn machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, Refusal> {
        self.app(app)?;
        if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Refusal::MalformedMachineId(id.to_owned()));
        }
        self.machines.get_mut(id).filter(|machine| machine.app == app).ok_or(Refusal::MachineNotFound)
    }

    /// The app's machine as a read finds it: not at once after it was made.
    pub(crate) fn shown_machine(&mut self, app: &str, id: &str) -> Result<&Machine, Refusal> {
        let now = self.now();
        let machine = self.machine(app, id)?;
        if machine.shown_from <= now { Ok(machine) } else { Err(Refusal::MachineNotFound) }
    }

    /// The app's machine, unless it is destroyed.
    pub(crate) fn living_machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, Refusal> {
        let machine = self.machine(app, id)?;
        if machine.state == State::Destroyed { Err(Refusal::MachineNotFound) } else { Ok(machine) }
    }

    /// The app's machine, unless it is destroyed or its host is down.
    pub(crate) fn reachable_machine(&mut self, app: &str, id: &str) -> Result<&mut Machine, Refusal> {
        let machine = self.living_machine(app, id)?;
        if machine.host_down { Err(Refusal::HostUnreachable) } else { Ok(machine) }
    }

    /// The app's volume as a read finds it: not at once after it was made.
    pub(crate) fn shown_volume(&mut self, app: &str, id: &str) -> Result<&Volume, Refusal> {
        let now = self.now();
        let volume = self.volume(app, id)?;
        if volume.shown_from <= now { Ok(volume) } else { Err(Refusal::VolumeNotFound) }
    }

    /// The app's volume, deleted but still readable ones included.
    pub(crate) fn volume(&mut self, app: &str, id: &str) -> Result<&mut Volume, Refusal> {
        self.app(app)?;
        self.volumes.get_mut(id).filter(|volume| volume.app == app).ok_or(Refusal::VolumeNotFound)
    }
}
