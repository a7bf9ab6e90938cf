//! What Fly shows of a town: looked at by stored id, else by name and metadata.

use gastown_domain::ports::{MachineSighting, ProviderError, TownChange, VolumeSighting};
use gastown_domain::{AppName, Operation, OperationKind, Power, Progress, Seen, Town, VolumeId, VolumeState, World};

use super::Driver;

/// One look at the world, and what it taught.
pub(super) struct Sight {
    /// What the plan is asked with.
    pub(super) world: World,
    /// The machine, where one was seen.
    pub(super) machine: Option<MachineSighting>,
    /// The volume in use, where one was seen.
    pub(super) volume: Option<VolumeSighting>,
    /// Volumes of the town's name besides the one in use.
    pub(super) surplus: Vec<VolumeId>,
    /// Ids that were found, or are proven gone: stored before anything else happens.
    pub(super) change: TownChange,
    /// The doubts that remain.
    pub(super) progress: Progress,
    /// Why something is unclear, where a call failed.
    pub(super) error: Option<ProviderError>,
}

impl Driver {
    /// Looks at machine and volume. A failed look makes its object `Unclear`; it is no error of the pass.
    pub(super) async fn observe(&self, app: &AppName, operation: &Operation, town: &Town) -> Sight {
        let mut sight = Sight {
            world: World { machine: Seen::Unclear, volume: Seen::Unclear },
            machine: None,
            volume: None,
            surplus: Vec::new(),
            change: TownChange::default(),
            progress: operation.progress.clone(),
            error: None,
        };
        match self.look_for_machine(app, town, &mut sight).await {
            Ok(seen) => sight.world.machine = seen,
            Err(error) => sight.error = Some(error),
        }
        if operation.kind == OperationKind::Create && sight.world.machine == Seen::Absent && sight.progress.machine_made
        {
            // It was there and is gone before it ever ran: Fly's `launch_failed` ends as `destroyed`.
            sight.world.machine = Seen::Present(Power::Failed);
        }
        // A stop does not look at volumes, and nothing is decided without the machine.
        if operation.kind != OperationKind::Stop && sight.world.machine != Seen::Unclear {
            match self.look_for_volume(app, operation, town, &mut sight).await {
                Ok(seen) => sight.world.volume = seen,
                Err(error) => sight.error = Some(error),
            }
        }
        sight
    }

    async fn look_for_machine(
        &self,
        app: &AppName,
        town: &Town,
        sight: &mut Sight,
    ) -> Result<Seen<Power>, ProviderError> {
        let machines = &self.ports.outside.machines;
        if let Some(id) = &town.machine_id {
            if let Some(there) = machines.machine(app, id).await? {
                return Ok(present(there, sight));
            }
            sight.change.machine = Some(None);
        }
        let Some(found) = machines.machines_of(app, town.id).await?.into_iter().next() else {
            return Ok(absent(&mut sight.progress.machine_doubt));
        };
        tracing::info!(machine.id = %found.id, "machine found by name or metadata");
        sight.change.machine = Some(Some(found.id.clone()));
        Ok(present(found, sight))
    }

    async fn look_for_volume(
        &self,
        app: &AppName,
        operation: &Operation,
        town: &Town,
        sight: &mut Sight,
    ) -> Result<Seen<VolumeState>, ProviderError> {
        let volumes = &self.ports.outside.volumes;
        let mut stored = None;
        if let Some(id) = &town.volume_id {
            stored = volumes.volume(app, id).await?;
            if stored.is_none() {
                sight.change.volume = Some(None);
            }
        }
        // After a lost answer there may be two of the name, for volume names are not unique (FM-02).
        let creating = operation.kind == OperationKind::Create;
        let may_be_more = creating && sight.progress.volume_doubt.is_some();
        let named = if stored.is_none() || may_be_more { volumes.volumes_of(app, town.id).await? } else { Vec::new() };

        let in_use = stored.or_else(|| named.iter().find(|v| v.bound_to.is_some()).or(named.first()).cloned());
        let Some(in_use) = in_use else {
            return Ok(absent(&mut sight.progress.volume_doubt));
        };
        if town.volume_id.as_ref() != Some(&in_use.id) {
            tracing::info!(volume.id = %in_use.id, "volume found by name");
            sight.change.volume = Some(Some(in_use.id.clone()));
            sight.change.region = Some(in_use.region.clone());
        }
        sight.surplus = named.into_iter().filter(|v| v.id != in_use.id && v.bound_to.is_none()).map(|v| v.id).collect();
        let misplaced = creating && sight.progress.refused_regions.contains(&in_use.region);
        let state = match &in_use {
            volume if volume.leaving => VolumeState::Leaving,
            _ if creating && !sight.surplus.is_empty() => VolumeState::Surplus,
            _ if misplaced => VolumeState::Misplaced,
            _ => VolumeState::Ready,
        };
        sight.volume = Some(in_use);
        Ok(Seen::Present(state))
    }
}

fn present(machine: MachineSighting, sight: &mut Sight) -> Seen<Power> {
    let power = machine.power;
    sight.machine = Some(machine);
    Seen::Present(power)
}

/// Nothing was found. That is a proof only when no create is in doubt; otherwise one look more agrees (FM-32).
fn absent<T>(doubt: &mut Option<u8>) -> Seen<T> {
    match doubt {
        Some(looks) if *looks > 0 => {
            *looks -= 1;
            Seen::Unclear
        }
        _ => Seen::Absent,
    }
}
