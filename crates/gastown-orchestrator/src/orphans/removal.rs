//! The last look before a deletion, and the deletion.

use gastown_domain::ports::{ObservedOrphan, OrphanEnd};
use gastown_domain::{
    MachineId, OrphanReason, Ownership, Power, ResourceId, TownRecord, TownStatus, VolumeId, ownership,
};

use super::{OrphanSweeper, SweepError, Verdict};

/// What became of an orphan that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Its deletion was asked for. Its entry closes when it is proven gone.
    Asked,
    /// It was gone already; its entry is closed.
    Gone,
    /// The last look spoke against it.
    Kept(Verdict),
}

/// What the last look at a thing shows.
enum LastLook {
    Gone,
    Keep(Verdict),
    /// It is there and nobody uses it; of a machine, the volume it mounts.
    Free(Option<VolumeId>),
}

/// Whether the book has an entry for it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    Yes,
    No,
}

impl OrphanSweeper {
    /// Looks at the thing itself and asks the registry once more, writes the deletion down, then asks for it: whatever is
    /// in the way of one of these leaves the thing as it is.
    pub(super) async fn remove(
        &self,
        sighting: &ObservedOrphan,
        noted: Noted,
        actor: &str,
    ) -> Result<Removal, SweepError> {
        let ObservedOrphan { app, item, reason } = sighting;
        let book = &self.ports.book;
        let mounted = match self.look_last(sighting).await? {
            LastLook::Gone => {
                book.close(app, &item.resource, OrphanEnd::Gone).await?;
                return Ok(Removal::Gone);
            }
            LastLook::Keep(verdict) => return Ok(Removal::Kept(verdict)),
            LastLook::Free(mounted) => mounted,
        };
        let accounts = book.town_records(&item.tags).await?;
        if ownership(item, &accounts) != Ownership::Orphan(*reason) {
            return Ok(Removal::Kept(Verdict::AccountedFor));
        }
        if *reason == OrphanReason::Second && !self.is_to_spare(sighting, mounted.as_ref(), &accounts).await? {
            return Ok(Removal::Kept(Verdict::InUse));
        }
        if noted == Noted::No {
            book.record_seen(std::slice::from_ref(sighting)).await?;
        }
        book.log_deletion(app, &item.resource, actor).await?;
        tracing::info!(fly.app = %app, fly.thing = %item.resource, reason = reason.as_str(), actor, "an orphan is deleted");
        match &item.resource {
            ResourceId::Machine(id) => self.ports.machines.delete_machine(app, id).await?,
            ResourceId::Volume(id) => self.ports.volumes.delete_volume(app, id).await?,
        }
        Ok(Removal::Asked)
    }

    async fn look_last(&self, sighting: &ObservedOrphan) -> Result<LastLook, SweepError> {
        let ObservedOrphan { app, item, reason } = sighting;
        let provider = &self.ports;
        match &item.resource {
            ResourceId::Machine(id) => {
                let Some(there) = provider.machines.machine(app, id).await? else { return Ok(LastLook::Gone) };
                let is_leaving = there.power == Power::Destroying;
                Ok(if is_leaving { LastLook::Keep(Verdict::Destroying) } else { LastLook::Free(there.volume) })
            }
            ResourceId::Volume(_) if *reason == OrphanReason::Second => Ok(LastLook::Keep(Verdict::MayHoldData)),
            ResourceId::Volume(id) => {
                let Some(there) = provider.volumes.volume(app, id).await? else { return Ok(LastLook::Gone) };
                if there.destroying {
                    return Ok(LastLook::Keep(Verdict::Destroying));
                }
                for holder in there.bound_to.iter().chain(&item.held_by) {
                    if self.still_holds(sighting, holder).await? {
                        return Ok(LastLook::Keep(Verdict::HeldBy(holder.clone())));
                    }
                }
                Ok(LastLook::Free(None))
            }
        }
    }

    /// A volume stays bound a while to a machine that is gone.
    async fn still_holds(&self, volume: &ObservedOrphan, holder: &MachineId) -> Result<bool, SweepError> {
        Ok(self.ports.machines.machine(&volume.app, holder).await?.is_some())
    }

    /// Whether a second machine is one too many: its town's own answers, and the town's volume is not on this one.
    async fn is_to_spare(
        &self,
        second: &ObservedOrphan,
        mounted: Option<&VolumeId>,
        accounts: &[TownRecord],
    ) -> Result<bool, SweepError> {
        let living = accounts.iter().filter(|account| account.status != TownStatus::Destroyed);
        for account in living.filter(|account| second.item.tags.iter().any(|tag| tag.names(account.town))) {
            let Some(own) = &account.machine else { return Ok(false) };
            let answers = self.ports.machines.machine(&second.app, own).await?;
            let is_well = answers.is_some_and(|own| own.power != Power::Destroying);
            if !is_well || (mounted.is_some() && mounted == account.volume.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
