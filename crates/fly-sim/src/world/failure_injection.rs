//! Failures that tests and the schedule of faults inject into the world.

use std::time::Duration;

use super::{
    event_queue::Transition,
    model::{HostStatus, Volume},
    state::World,
    transitions::ProcessExit,
};
use crate::{death::Death, machine_state::State};

impl World {
    /// Kills a machine. Returns true if there was one that was not being destroyed.
    pub(crate) fn kill_machine(&mut self, id: &str, death: Death) -> bool {
        let Some(machine) = self.machines.get(id) else { return false };
        if machine.is_destroyed_or_destroying() {
            return false;
        }
        let exit = ProcessExit::OUT_OF_MEMORY;
        match death {
            Death::Stopped => self.end_for_good(id, exit),
            Death::Process => self.handle_process_exit(id, exit),
            Death::Destroyed => self.begin_destroy(id, "flyd"),
            Death::LaunchFailed => self.fail_launch(id),
            Death::Forgotten => self.remove_machine(id),
        }
        true
    }

    /// Removes a machine without a trace and releases its volume.
    fn remove_machine(&mut self, id: &str) {
        let Some(machine) = self.machines.remove(id) else { return };
        if let Some(volume) = machine.mount().and_then(|(volume, _)| self.volumes.get_mut(volume)) {
            volume.claimed_by = None;
            volume.host = HostStatus::Up;
        }
    }

    /// Deletes a volume with its files and kills the machine that mounts it. Returns true if the volume existed.
    pub(crate) fn lose_volume(&mut self, id: &str) -> bool {
        let Some(volume) = self.volumes.remove(id) else { return false };
        if let Some(machine) = volume.claimed_by {
            self.kill_machine(&machine, Death::Stopped);
        }
        true
    }

    /// Takes the host of a machine down or up again. Returns true if the machine exists.
    ///
    /// Transitions are deferred until the host is up. The process of a started machine boots again then.
    pub(crate) fn set_host_down(&mut self, id: &str, down: bool) -> bool {
        let Some(machine) = self.machines.get_mut(id) else { return false };
        let recovered = std::mem::replace(&mut machine.host_down, down) && !down;
        let deferred = machine.deferred.take();
        if down {
            machine.program = None;
        }
        let reboots = machine.state == State::Started;
        // A volume is on the host of the machine that mounts it.
        if let Some(volume) = machine.mount().and_then(|(volume, _)| self.volumes.get_mut(volume)) {
            volume.host = if down { HostStatus::Down } else { HostStatus::Up };
        }
        if recovered && let Some(next) = deferred.or(reboots.then_some(Transition::Booted)) {
            self.apply_transition(id, next);
        }
        true
    }

    /// Takes the hosts of all machines down or up again.
    pub(crate) fn set_all_hosts_down(&mut self, down: bool) {
        let ids: Vec<String> = self.machines.values().map(|machine| machine.id.clone()).collect();
        for id in ids {
            self.set_host_down(&id, down);
        }
    }

    /// Puts a new machine into a state at once. A started one boots its program.
    pub(crate) fn put_in_state(&mut self, id: &str, state: State) {
        if state == State::Started {
            self.apply_transition(id, Transition::Booted);
        } else {
            self.transition_to(id, state, None);
        }
    }

    /// Moves a volume to another host, as Fly does without a call. Returns the id of the copy.
    ///
    /// The machine keeps its id and mounts the copy, which has a new id. The old volume is deleted.
    pub(crate) fn migrate_volume(&mut self, id: &str) -> Option<String> {
        let (creation, new_id, zone) = (self.next_creation(), self.ids.volume(), self.ids.zone());
        let (tombstone, at) = (self.settings.timing.volume_tombstone, self.wall());
        let old = self.volumes.get_mut(id).filter(|volume| !volume.deleted)?;
        let moved = Volume {
            id: new_id.clone(),
            zone,
            creation,
            files: std::mem::take(&mut old.files),
            host: HostStatus::Up,
            updated_at: at,
            ..old.clone()
        };
        old.deleted = true;
        old.updated_at = at;
        let holder = old.claimed_by.take();
        self.volumes.insert(moved);
        self.schedule_volume_removal(id, tombstone);
        if let Some(machine) = holder.and_then(|holder| self.machines.get_mut(&holder)) {
            machine.remount(&new_id);
        }
        Some(new_id)
    }

    /// Hides a machine or volume from reads and lists for `duration`. Returns true if it exists.
    pub(crate) fn hide_for(&mut self, id: &str, duration: Duration) -> bool {
        let until = self.now() + duration;
        let machine = self.machines.get_mut(id).map(|machine| &mut machine.visible_from);
        let volume = self.volumes.get_mut(id).map(|volume| &mut volume.visible_from);
        machine.or(volume).map(|visible_from| *visible_from = until).is_some()
    }

    /// Moves the creation time of a machine or volume back. Returns true if it exists.
    pub(crate) fn backdate(&mut self, id: &str, by: Duration) -> bool {
        let machine = self.machines.get_mut(id).map(|machine| &mut machine.created_at);
        let volume = self.volumes.get_mut(id).map(|volume| &mut volume.created_at);
        machine.or(volume).map(|created_at| *created_at -= by).is_some()
    }

    /// Returns the newest machine of an app that is not being destroyed: the target of a fault that names none.
    pub(crate) fn newest_machine(&self, app: &str) -> Option<String> {
        let live = self.machines.values().filter(|machine| machine.app == app && !machine.is_destroyed_or_destroying());
        live.max_by_key(|machine| machine.creation.sequence).map(|machine| machine.id.clone())
    }

    /// Returns the newest volume of an app that is not deleted.
    pub(crate) fn newest_volume(&self, app: &str) -> Option<String> {
        let live = self.volumes.values().filter(|volume| volume.app == app && !volume.deleted);
        live.max_by_key(|volume| volume.creation.sequence).map(|volume| volume.id.clone())
    }
}
