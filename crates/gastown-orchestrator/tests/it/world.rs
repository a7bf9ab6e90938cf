//! The state of the fake Fly: machines and volumes that change with tokio's paused time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{MachineSpec, ObservedMachine, ObservedVolume};
use gastown_domain::{AppName, ImageRef, MachineId, Power, Region, SandboxRig, TownId, VolumeId};
use tokio::time::Instant;

use crate::deletions::Deletion;
use crate::env::PausedClock;
use crate::list_lag::ListLag;
use crate::names::{machine_name, volume_name};

pub(crate) const BOOT: Duration = Duration::from_secs(2);
pub(crate) const SANDBOX_BOOT: Duration = Duration::from_secs(2);
pub(crate) const STOP: Duration = Duration::from_secs(1);
pub(crate) const DELETION: Duration = Duration::from_secs(1);
/// The time that a volume stays bound after its machine is gone.
pub(crate) const RELEASE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting(Instant),
    On(Instant),
    Stopping(Instant),
    Off,
    Failed,
    Destroying(Instant),
    Gone(Instant),
}

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) app: AppName,
    pub(crate) id: MachineId,
    pub(crate) name: String,
    pub(crate) region: Region,
    pub(crate) volume: VolumeId,
    pub(crate) image: ImageRef,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) phase: Phase,
    /// Reads do not return it before this time.
    pub(crate) invisible_until: Option<Instant>,
    pub(crate) made_at: Instant,
}

impl Machine {
    pub(crate) fn is_visible(&self) -> bool {
        self.invisible_until.is_none_or(|until| Instant::now() >= until)
    }

    pub(crate) fn power(&self) -> Power {
        match self.phase {
            Phase::Starting(_) => Power::Starting,
            Phase::On(_) => Power::On,
            Phase::Stopping(_) => Power::Stopping,
            Phase::Off => Power::Off,
            Phase::Failed => Power::Failed,
            Phase::Destroying(_) | Phase::Gone(_) => Power::Destroying,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone(_))
    }

    pub(crate) fn belongs_to(&self, town: TownId) -> bool {
        self.name == machine_name(town) || self.metadata.get("gastown_town_id") == Some(&town.to_string())
    }

    fn observed(&self, unreachable_host: bool) -> ObservedMachine {
        let power = if unreachable_host { Power::Changing } else { self.power() };
        ObservedMachine { id: self.id.clone(), power, volume: Some(self.volume.clone()) }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) app: AppName,
    pub(crate) id: VolumeId,
    pub(crate) name: String,
    pub(crate) region: Region,
    pub(crate) held_by: Option<MachineId>,
    pub(crate) destroying: Option<Instant>,
    pub(crate) gone: bool,
    /// The rigs of the sandbox, which are stored on the volume.
    pub(crate) rigs: Vec<SandboxRig>,
    /// True once a machine has booted on it. It may contain user data from then on, even if no call reported the boot.
    pub(crate) used: bool,
    /// Reads do not return it before this time.
    pub(crate) invisible_until: Option<Instant>,
    pub(crate) made_at: Instant,
}

impl Volume {
    pub(crate) fn is_visible(&self) -> bool {
        self.invisible_until.is_none_or(|until| Instant::now() >= until)
    }

    pub(crate) fn observed(&self) -> ObservedVolume {
        ObservedVolume {
            id: self.id.clone(),
            region: Some(self.region.clone()),
            destroying: self.destroying.is_some(),
            bound_to: self.held_by.clone(),
        }
    }
}

/// Which entries a list returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ListView {
    #[default]
    Complete,
    WithoutNewest,
    Empty,
}

/// Machines and volumes, and switches for how Fly behaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each flag is an independent fault of Fly")]
pub(crate) struct World {
    pub(crate) apps: BTreeSet<AppName>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) volumes: Vec<Volume>,
    /// Names of volumes with data that Fly lost.
    pub(crate) lost_volumes: BTreeSet<String>,
    /// Resources that calls of the control plane deleted, in order.
    pub(crate) deletions: Vec<Deletion>,
    /// Regions without capacity for machines.
    pub(crate) full_regions: BTreeSet<Region>,
    /// Every machine create is refused permanently.
    pub(crate) machines_refused: bool,
    /// Machines stay `starting`.
    pub(crate) never_start: bool,
    /// Machines stop as soon as they have started.
    pub(crate) crash_at_boot: bool,
    /// Machines end as `failed`.
    pub(crate) fail_at_boot: bool,
    /// Hosts destroy machines as soon as they have started.
    pub(crate) vanish_at_boot: bool,
    /// Volumes stay bound for only a few seconds after their machine is gone.
    pub(crate) volumes_are_released_soon: bool,
    /// Deleted volumes are still listed for minutes.
    pub(crate) volumes_are_deleted_slowly: bool,
    /// Deletes of machines succeed and have no effect.
    pub(crate) deletes_are_ignored: bool,
    /// Sandboxes of these images report that they are unhealthy.
    pub(crate) bad_images: BTreeSet<ImageRef>,
    /// Updates to these images are refused until an operator acts.
    pub(crate) missing_images: BTreeSet<ImageRef>,
    /// Updates to these images are refused at once.
    pub(crate) refused_images: BTreeSet<ImageRef>,
    /// Sandboxes report that they are unhealthy.
    pub(crate) sandboxes_unhealthy: bool,
    /// Sandboxes start on an empty volume although they were told to restore their data.
    pub(crate) images_cannot_restore: bool,
    /// Sandboxes that do not answer although their machine is on. Those with a time answer after a later boot.
    pub(crate) wedged: BTreeMap<TownId, Option<Instant>>,
    /// Hosts do not respond: machines are read in a state that allows no decision.
    pub(crate) unreachable_hosts: bool,
    /// Rigs that cannot be cloned.
    pub(crate) refused_rigs: BTreeSet<String>,
    /// Rigs that are in use.
    pub(crate) busy_rigs: BTreeSet<String>,
    /// Rigs that a sandbox refused to add, and rigs that it refused to remove because they are in use.
    pub(crate) refused_rig_calls: Vec<(TownId, String)>,
    pub(crate) busy_rig_calls: Vec<(TownId, String)>,
    /// The entries that the current list returns.
    pub(crate) list_view: ListView,
    /// Until this time, reads of volumes do not tell the region.
    pub(crate) regions_hidden_until: Option<Instant>,
    /// Resources that are created now are invisible until this time.
    pub(crate) created_invisible_until: Option<Instant>,
    /// How far the lists of each town's volumes lagged.
    list_lags: RefCell<BTreeMap<TownId, ListLag>>,
    /// Until this time, the oldest entry of each inventory list cannot be parsed.
    pub(crate) lists_incomplete_until: Option<Instant>,
    /// Fly's own clock, which dates the creation of resources.
    clock: Option<PausedClock>,
    serial: u32,
}

impl World {
    /// Advances everything to the given time.
    pub(crate) fn tick(&mut self, now: Instant) {
        for machine in &mut self.machines {
            let before = machine.phase;
            machine.phase = match machine.phase {
                Phase::Starting(at) if now >= at && !self.never_start => {
                    match (self.crash_at_boot, self.fail_at_boot, self.vanish_at_boot) {
                        (true, ..) => Phase::Off,
                        (_, true, _) => Phase::Failed,
                        (.., true) => Phase::Gone(at),
                        _ => Phase::On(at),
                    }
                }
                Phase::Stopping(at) if now >= at => Phase::Off,
                Phase::Destroying(at) if now >= at => Phase::Gone(at),
                same => same,
            };
            let has_booted = match before {
                Phase::Starting(_) => !matches!(machine.phase, Phase::Starting(_) | Phase::Failed),
                _ => matches!(before, Phase::On(_)),
            };
            if has_booted && let Some(volume) = self.volumes.iter_mut().find(|volume| volume.id == machine.volume) {
                volume.used = true;
            }
        }
        for volume in &mut self.volumes {
            let holder = volume.held_by.as_ref().and_then(|id| self.machines.iter().find(|m| m.id == *id));
            if let Some(Machine { phase: Phase::Gone(at), .. }) = holder
                && now >= *at + if self.volumes_are_released_soon { RELEASE / 4 } else { RELEASE }
            {
                volume.held_by = None;
            }
            volume.gone |= volume.destroying.is_some_and(|at| now >= at);
        }
    }

    pub(crate) fn machine(&mut self, id: &MachineId) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.id == *id && !machine.is_gone())
    }

    pub(crate) fn volume(&mut self, id: &VolumeId) -> Option<&mut Volume> {
        self.volumes.iter_mut().find(|volume| volume.id == *id && !volume.gone)
    }

    pub(crate) fn machines_of(&self, town: TownId) -> Vec<&Machine> {
        self.machines.iter().filter(|machine| !machine.is_gone() && machine.belongs_to(town)).collect()
    }

    /// Returns the volumes of a town. Also counts whether the current list lags.
    pub(crate) fn volumes_of(&self, town: TownId) -> Vec<&Volume> {
        let volumes: Vec<_> =
            self.volumes.iter().filter(|volume| !volume.gone && volume.name == volume_name(town)).collect();
        let lags = self.list_view != ListView::Complete;
        self.list_lags.borrow_mut().entry(town).or_default().observe_list(lags, volumes.is_empty());
        volumes
    }

    /// Returns the towns with a run of more than `lists` consecutive lists that showed too few volumes. At least one
    /// list of the run lagged; before the others, the volume may not have existed.
    pub(crate) fn hidden_in_more_lists_than(&self, lists: usize) -> BTreeSet<TownId> {
        self.list_lags.borrow().iter().filter(|(_, lag)| lag.longest > lists).map(|(town, _)| *town).collect()
    }

    /// Returns the entries that a list shows of these. The newest entry comes last.
    pub(crate) fn listed<T>(&self, entries: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        match self.list_view {
            ListView::Complete => {}
            ListView::WithoutNewest => drop(entries.pop()),
            ListView::Empty => entries.clear(),
        }
        entries
    }

    /// Returns the parsable entries of an inventory list, and whether they are all of it.
    pub(crate) fn readable<T>(&self, mut listed: Vec<T>) -> (Vec<T>, bool) {
        let lists_are_incomplete = self.lists_are_incomplete(Instant::now());
        let is_whole = listed.is_empty() || !lists_are_incomplete;
        if !is_whole {
            drop(listed.remove(0));
        }
        (listed, is_whole)
    }

    pub(crate) fn lists_are_incomplete(&self, now: Instant) -> bool {
        self.lists_incomplete_until.is_some_and(|until| now < until)
    }

    /// Converts an instant to Fly's clock.
    pub(crate) fn date(&self, at: Instant) -> DateTime<Utc> {
        self.clock.map_or(DateTime::UNIX_EPOCH, |clock| clock.at(at))
    }

    pub(crate) fn set_clock(&mut self, clock: PausedClock) {
        self.clock = Some(clock);
    }

    pub(crate) fn observe_machine(&self, machine: &Machine) -> ObservedMachine {
        machine.observed(self.unreachable_hosts)
    }

    pub(crate) fn add_machine(&mut self, spec: &MachineSpec, now: Instant) -> MachineId {
        let id: MachineId = format!("machine{}", self.next()).parse().unwrap();
        self.machines.push(Machine {
            app: spec.app.clone(),
            id: id.clone(),
            name: machine_name(spec.town),
            region: spec.region.clone(),
            volume: spec.volume.clone(),
            image: spec.image.clone(),
            env: spec.env.clone(),
            metadata: spec.metadata.clone(),
            phase: Phase::Starting(now + BOOT),
            invisible_until: self.created_invisible_until,
            made_at: now,
        });
        if let Some(volume) = self.volume(&spec.volume) {
            volume.held_by = Some(id.clone());
        }
        id
    }

    /// Adds a volume in the first app.
    pub(crate) fn add_volume(&mut self, town: TownId, region: &Region) -> ObservedVolume {
        self.add_volume_in(self.apps.first().cloned().unwrap(), town, region)
    }

    /// Returns a volume as reads show it now.
    pub(crate) fn shown(&self, volume: &Volume) -> ObservedVolume {
        let observed = volume.observed();
        let hides_region = self.regions_hidden_until.is_some_and(|until| Instant::now() < until);
        ObservedVolume { region: observed.region.filter(|_| !hides_region), ..observed }
    }

    pub(crate) fn add_volume_in(&mut self, app: AppName, town: TownId, region: &Region) -> ObservedVolume {
        let volume = Volume {
            app,
            id: format!("vol_{}", self.next()).parse().unwrap(),
            name: volume_name(town),
            region: region.clone(),
            held_by: None,
            destroying: None,
            gone: false,
            rigs: Vec::new(),
            used: false,
            invisible_until: self.created_invisible_until,
            made_at: Instant::now(),
        };
        self.volumes.push(volume.clone());
        volume.observed()
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }
}
