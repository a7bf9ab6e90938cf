//! What breaks by itself: machines that die, volumes that are lost.

use std::time::Duration;

use super::{
    agenda::Next,
    model::{Host, Volume},
    state::World,
    transitions::Exit,
};
use crate::{death::Death, machine_state::State};

impl World {
    /// Kills the machine; true when there was a living one.
    pub(crate) fn kill(&mut self, id: &str, death: Death) -> bool {
        let exit = Exit { code: 137, signal: 9, oom_killed: true, requested: false };
        let Some(machine) = self.machines.get(id).filter(|machine| !machine.is_leaving()) else { return false };
        let volume = machine.mount().map(|(volume, _)| volume.to_owned());
        match death {
            Death::Stays => {
                self.redirect(id, State::Stopped, None);
                self.end_process(id, exit, false);
            }
            Death::Process => self.process_exits(id, exit),
            Death::Destroyed => self.begin_destroy(id),
            Death::LaunchFailed => self.fail_launch(id),
            Death::Forgotten => {
                self.machines.remove(id);
                if let Some(volume) = volume.and_then(|volume| self.volumes.get_mut(&volume)) {
                    volume.claimed_by = None;
                    volume.host = Host::Up;
                }
            }
        }
        true
    }

    /// Loses the volume and every file on it; the machine that mounts it dies with it. True when there was one.
    pub(crate) fn lose(&mut self, id: &str) -> bool {
        let Some(volume) = self.volumes.remove(id) else { return false };
        if let Some(machine) = volume.claimed_by {
            self.kill(&machine, Death::Stays);
        }
        true
    }

    /// Takes the machine's host down or brings it back; true when there is such a machine. What should have happened
    /// meanwhile happens when the host is back; the process starts afresh.
    pub(crate) fn set_host_down(&mut self, id: &str, down: bool) -> bool {
        let Some(machine) = self.machines.get_mut(id) else { return false };
        let back = std::mem::replace(&mut machine.host_down, down) && !down;
        let held = machine.held.take();
        if down {
            machine.sandbox = None;
        }
        // A volume lies on the host of the machine that mounts it.
        let volume = machine.mount().map(|(volume, _)| volume.to_owned());
        if let Some(volume) = volume.and_then(|volume| self.volumes.get_mut(&volume)) {
            volume.host = if down { Host::Down } else { Host::Up };
        }
        match held {
            Some(next) if back => self.advance(id, next),
            None if back && self.machines.get(id).is_some_and(|machine| machine.state == State::Started) => {
                self.advance(id, Next::Booted);
            }
            _ => {}
        }
        true
    }

    /// Moves the volume to another host, as Fly does by itself: the machine keeps its id and mounts a copy under a new
    /// id, the old volume is deleted. The new id, when there was a volume.
    pub(crate) fn migrate_volume(&mut self, id: &str) -> Option<String> {
        let (born, new_id, zone) = (self.born(), self.ids.volume(), self.ids.zone());
        let tombstone = self.settings.timing.volume_tombstone;
        let old = self.volumes.get_mut(id).filter(|volume| !volume.deleted)?;
        let moved = Volume {
            id: new_id.clone(),
            zone,
            born,
            files: std::mem::take(&mut old.files),
            host: Host::Up,
            ..old.clone()
        };
        old.deleted = true;
        let holder = old.claimed_by.take();
        self.volumes.insert(new_id.clone(), moved);
        self.forget_volume_after(id, tombstone);
        if let Some(machine) = holder.and_then(|holder| self.machines.get_mut(&holder)) {
            machine.remount(&new_id);
        }
        Some(new_id)
    }

    /// Hides a machine or volume from reads and lists for so long from now on; true when there is one.
    pub(crate) fn hide(&mut self, id: &str, pause: Duration) -> bool {
        let until = self.now() + pause;
        let machine = self.machines.get_mut(id).map(|machine| &mut machine.shown_from);
        let Some(shown_from) = machine.or_else(|| self.volumes.get_mut(id).map(|volume| &mut volume.shown_from)) else {
            return false;
        };
        *shown_from = until;
        true
    }

    /// Makes a machine or volume older than it is; true when there is one.
    pub(crate) fn backdate(&mut self, id: &str, by: Duration) -> bool {
        let machine = self.machines.get_mut(id).map(|machine| &mut machine.created_at);
        let Some(made) = machine.or_else(|| self.volumes.get_mut(id).map(|volume| &mut volume.created_at)) else {
            return false;
        };
        *made -= by;
        true
    }

    /// The newest living machine of an app: what a fault without a target hits.
    pub(crate) fn newest_machine(&self, app: &str) -> Option<String> {
        let living = self.machines.values().filter(|machine| machine.app == app && !machine.is_leaving());
        living.max_by_key(|machine| machine.born.order).map(|machine| machine.id.clone())
    }

    /// The newest volume of an app that is not deleted.
    pub(crate) fn newest_volume(&self, app: &str) -> Option<String> {
        let living = self.volumes.values().filter(|volume| volume.app == app && !volume.deleted);
        living.max_by_key(|volume| volume.born.order).map(|volume| volume.id.clone())
    }
}
