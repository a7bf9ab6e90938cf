//! The last read before a deletion, and the deletion.

use gastown_domain::ports::{ObservedOrphan, OrphanEnd};
use gastown_domain::{
    MachineId, OrphanReason, Ownership, Power, ResourceId, TownRecord, TownStatus, VolumeId, ownership,
};

use super::{OrphanSweeper, SweepError, Verdict};

/// The result of deleting an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The deletion was requested. The record closes once the orphan is proven absent.
    Requested,
    /// The orphan was absent already, and its record is closed.
    Gone,
    /// The last read decided against it.
    Kept(Verdict),
}

/// The result of the last read of a resource.
enum LastRead {
    Gone,
    Keep(Verdict),
    /// It exists and is not in use. For a machine, with the volume it mounts.
    Free(Option<VolumeId>),
}

/// The orphan record to write before the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recording {
    /// The pass has written it.
    Done,
    /// Write it now.
    First,
}

impl OrphanSweeper {
    /// Reads the resource and the registry once more, logs the deletion, then requests it. A failure of any of these leaves
    /// the resource as it is.
    pub(super) async fn remove(
        &self,
        sighting: &ObservedOrphan,
        recording: Recording,
        actor: &str,
    ) -> Result<Removal, SweepError> {
        let ObservedOrphan { app, item, reason } = sighting;
        let orphans = &self.ports.orphans;
        let mounted = match self.read_last(sighting).await? {
            LastRead::Gone => {
                orphans.close(app, &item.resource, OrphanEnd::Gone).await?;
                return Ok(Removal::Gone);
            }
            LastRead::Keep(verdict) => return Ok(Removal::Kept(verdict)),
            LastRead::Free(mounted) => mounted,
        };
        let rows = orphans.town_records(&item.tags).await?;
        if ownership(item, &rows) != Ownership::Orphan(*reason) {
            return Ok(Removal::Kept(Verdict::AccountedFor));
        }
        if *reason == OrphanReason::Second && !self.is_redundant(sighting, mounted.as_ref(), &rows).await? {
            return Ok(Removal::Kept(Verdict::InUse));
        }
        if recording == Recording::First {
            orphans.record_seen(std::slice::from_ref(sighting)).await?;
        }
        orphans.log_deletion(app, &item.resource, actor).await?;
        tracing::info!(%app, resource = %item.resource, reason = reason.as_str(), actor, "orphan deletion requested");
        let _answer = match &item.resource {
            ResourceId::Machine(id) => self.ports.machines.delete_machine(app, id).await?,
            ResourceId::Volume(id) => self.ports.volumes.delete_volume(app, id).await?,
        };
        Ok(Removal::Requested)
    }

    async fn read_last(&self, sighting: &ObservedOrphan) -> Result<LastRead, SweepError> {
        let ObservedOrphan { app, item, reason } = sighting;
        let ports = &self.ports;
        match &item.resource {
            ResourceId::Machine(id) => {
                let Some(there) = ports.machines.machine(app, id).await? else { return Ok(LastRead::Gone) };
                let is_destroying = there.power == Power::Destroying;
                Ok(if is_destroying { LastRead::Keep(Verdict::Destroying) } else { LastRead::Free(there.volume) })
            }
            ResourceId::Volume(_) if *reason == OrphanReason::Second => Ok(LastRead::Keep(Verdict::MayHoldData)),
            ResourceId::Volume(id) => {
                let Some(there) = ports.volumes.volume(app, id).await? else { return Ok(LastRead::Gone) };
                if there.destroying {
                    return Ok(LastRead::Keep(Verdict::Destroying));
                }
                for holder in there.bound_to.iter().chain(&item.held_by) {
                    if self.still_holds(sighting, holder).await? {
                        return Ok(LastRead::Keep(Verdict::HeldBy(holder.clone())));
                    }
                }
                Ok(LastRead::Free(None))
            }
        }
    }

    /// Returns true if the machine exists. A volume stays attached for some time to a machine that is gone.
    async fn still_holds(&self, volume: &ObservedOrphan, holder: &MachineId) -> Result<bool, SweepError> {
        Ok(self.ports.machines.machine(&volume.app, holder).await?.is_some())
    }

    /// Returns true if a second machine may be deleted: the town's own machine answers, and this one does not mount the town's
    /// volume.
    async fn is_redundant(
        &self,
        second: &ObservedOrphan,
        mounted: Option<&VolumeId>,
        rows: &[TownRecord],
    ) -> Result<bool, SweepError> {
        let living = rows.iter().filter(|town| town.status != TownStatus::Destroyed);
        for town in living.filter(|town| second.item.tags.iter().any(|tag| tag.names(town.town))) {
            let Some(own) = &town.machine else { return Ok(false) };
            let answers = self.ports.machines.machine(&second.app, own).await?;
            let stays = answers.is_some_and(|own| own.power != Power::Destroying);
            if !stays || (mounted.is_some() && mounted == town.volume.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
