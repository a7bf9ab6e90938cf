//! What Fly shows of a town: looked at by stored id, else by name and metadata.

use gastown_domain::ports::{ObservedMachine, ObservedVolume, ProviderError, TownChange};
use gastown_domain::{AppName, Operation, OperationKind, Power, Progress, Seen, Town, VolumeId, VolumeState, World};

use super::Reconciler;
use super::database_time::DatabaseTime;

/// One look at the world, and what it taught.
pub(super) struct Sight {
    /// What the plan is asked with.
    pub(super) world: World,
    /// The machine, where one was seen.
    pub(super) machine: Option<ObservedMachine>,
    /// The volume in use, where one was seen.
    pub(super) volume: Option<ObservedVolume>,
    /// Volumes of the town's name besides the one in use.
    pub(super) surplus: Vec<VolumeId>,
    /// Ids that were found, or are proven gone: stored before anything else happens.
    pub(super) change: TownChange,
    /// The doubts that remain.
    pub(super) progress: Progress,
    /// Why something is unclear, where a call failed.
    pub(super) error: Option<ProviderError>,
    /// The database's time from before the look.
    pub(super) clock: DatabaseTime,
}

impl Sight {
    /// Whether nothing else is waited for than the proof that there is nothing, or no more to come.
    pub(super) fn awaits_proof(&self) -> bool {
        let World { machine, volume, late } = self.world;
        self.error.is_none() && (late || machine == Seen::Unknown || volume == Seen::Unknown)
    }
}

impl Reconciler {
    /// Looks at machine and volume. A failed look makes its object `Unknown`; it is no error of the pass.
    pub(super) async fn observe(
        &self,
        app: &AppName,
        operation: &Operation,
        town: &Town,
        clock: DatabaseTime,
    ) -> Sight {
        let mut sight = Sight {
            world: World { machine: Seen::Unknown, volume: Seen::Unknown, late: false },
            machine: None,
            volume: None,
            surplus: Vec::new(),
            change: TownChange::default(),
            progress: operation.progress.clone(),
            error: None,
            clock,
        };
        if operation.kind == OperationKind::RollBack && nothing_was_asked_for(operation, town) {
            sight.world = World { machine: Seen::Absent, volume: Seen::Absent, late: false };
            return sight;
        }
        self.look(app, operation, town, &mut sight).await;
        let is_whole = sight.error.is_none();
        let Progress { unconfirmed_volume, unconfirmed_machine, .. } = &mut sight.progress;
        for doubt in [unconfirmed_volume, unconfirmed_machine] {
            doubt.bound(clock.read() + self.settings.policy.create_visibility_timeout);
            // A look that was cut short shows nothing.
            sight.world.late |= if is_whole { doubt.outwaits(clock.read()) } else { doubt.exists() };
        }
        sight
    }

    async fn look(&self, app: &AppName, operation: &Operation, town: &Town, sight: &mut Sight) {
        // Without an app there is nothing, but only a look at the app itself proves it: a list that answers "no such app"
        // may be a token that lost its scope (FM-33).
        if town.machine_id.is_none()
            && town.volume_id.is_none()
            && let Err(error) = self.ports.provider.apps.ensure(app).await
        {
            sight.error = Some(error);
            return;
        }
        match self.look_for_machine(app, town, sight).await {
            Ok(seen) => sight.world.machine = seen,
            Err(error) => sight.error = Some(error),
        }
        if operation.kind == OperationKind::Create && sight.world.machine == Seen::Absent && sight.progress.machine_made
        {
            // It was there and is gone before it ever ran: Fly's `launch_failed` ends as `destroyed`.
            sight.world.machine = Seen::Present(Power::Failed);
        }
        if volume_matters(operation.kind, sight.world.machine) {
            match self.look_for_volume(app, operation, town, sight).await {
                Ok(seen) => sight.world.volume = seen,
                Err(error) => sight.error = Some(error),
            }
        }
        if operation.kind.removes() && sight.world.machine == Seen::Absent {
            match self.look_for_holder(app, sight).await {
                Ok(seen) => sight.world.machine = seen,
                Err(error) => (sight.world.machine, sight.error) = (Seen::Unknown, Some(error)),
            }
        }
    }

    /// Before the volume goes: the machine that mounts it, though neither its id nor its name led to it (FM-13).
    async fn look_for_holder(&self, app: &AppName, sight: &mut Sight) -> Result<Seen<Power>, ProviderError> {
        let Some(ObservedVolume { id: volume, bound_to: Some(holder), .. }) = &sight.volume else {
            return Ok(Seen::Absent);
        };
        // A volume stays bound a while to a machine that is gone.
        let there = self.ports.provider.machines.machine(app, holder).await?;
        let Some(there) = there.filter(|there| there.volume.as_ref() == Some(volume)) else { return Ok(Seen::Absent) };
        tracing::warn!(machine.id = %there.id, "machine found by its volume alone");
        sight.change.machine = Some(Some(there.id.clone()));
        Ok(present(there, sight))
    }

    async fn look_for_machine(
        &self,
        app: &AppName,
        town: &Town,
        sight: &mut Sight,
    ) -> Result<Seen<Power>, ProviderError> {
        let machines = &self.ports.provider.machines;
        if let Some(id) = &town.machine_id
            && let Some(there) = machines.machine(app, id).await?
        {
            sight.progress.unconfirmed_machine.seen();
            return Ok(present(there, sight));
        }
        if sight.progress.unconfirmed_machine.is_about_the_named() {
            return Ok(sight.progress.unconfirmed_machine.absent());
        }
        let mut named = machines.machines_of(app, town.id).await?;
        // There is one, unless somebody made another by hand: the town's is the one that stays and has its volume.
        named.sort_by_key(|it| (it.power == Power::Destroying, it.volume.is_none() || it.volume != town.volume_id));
        let Some(found) = named.into_iter().next() else {
            let seen = sight.progress.unconfirmed_machine.absent();
            if town.machine_id.is_some() && seen == Seen::Absent {
                sight.change.machine = Some(None);
                sight.progress.machine_missing = true;
            }
            return Ok(seen);
        };
        tracing::info!(machine.id = %found.id, "machine found by name or metadata");
        sight.progress.unconfirmed_machine.found();
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
        let volumes = &self.ports.provider.volumes;
        let (creating, starting) = (operation.kind == OperationKind::Create, operation.kind == OperationKind::Start);
        let mut stored = None;
        if let Some(id) = &town.volume_id {
            stored = volumes.volume(app, id).await?;
        }
        if stored.is_none() && sight.progress.unconfirmed_volume.is_about_the_named() {
            return Ok(sight.progress.unconfirmed_volume.absent());
        }
        // A create takes one that is leaving for none: it is empty, and another is made in its place. To a start it is lost
        // where Fly has not moved it.
        let stays = |volume: &ObservedVolume| !volume.destroying;
        if stored.as_ref().is_some_and(stays) {
            sight.progress.unconfirmed_volume.seen();
        }
        // After a lost answer there may be two of the name, for volume names are not unique (FM-02).
        let may_be_more = creating && sight.progress.unconfirmed_volume.exists();
        let is_going = stored.as_ref().is_none_or(|volume| starting && volume.destroying);
        let named = if is_going || may_be_more { volumes.volumes_of(app, town.id).await? } else { Vec::new() };
        let is_gone = town.volume_id.is_some() && stored.is_none();

        let mounted = sight.machine.as_ref().and_then(|machine| machine.volume.as_ref());
        let in_use = match stored {
            Some(volume) if stays(&volume) || operation.kind.removes() => Some(volume),
            stored if starting && town.volume_id.is_some() => moved_to(&named, mounted).cloned().or(stored),
            _ => first_choice(&named).filter(|volume| !creating || stays(volume)).cloned(),
        };
        let Some(in_use) = in_use else {
            let seen = sight.progress.unconfirmed_volume.absent();
            // Its id is forgotten only once its name is proven absent too. A town that stays keeps the id of a lost volume, for
            // whoever looks for its data (FM-22).
            if is_gone && seen == Seen::Absent && !starting {
                sight.change.volume = Some(None);
            }
            return Ok(seen);
        };
        if town.volume_id.as_ref() != Some(&in_use.id) {
            tracing::info!(volume.id = %in_use.id, "volume found by name");
            if stays(&in_use) {
                sight.progress.unconfirmed_volume.found();
            }
            sight.change.volume = Some(Some(in_use.id.clone()));
            sight.change.region = Some(in_use.region.clone());
        }
        let surplus = |other: &ObservedVolume| other.id != in_use.id && other.bound_to.is_none() && !other.destroying;
        sight.surplus = named.into_iter().filter(surplus).map(|volume| volume.id).collect();
        let misplaced = creating && sight.progress.refused_regions.contains(&in_use.region);
        let state = match &in_use {
            volume if volume.destroying => VolumeState::Destroying,
            _ if creating && !sight.surplus.is_empty() => VolumeState::Surplus,
            _ if misplaced => VolumeState::Misplaced,
            _ => VolumeState::Ready,
        };
        sight.volume = Some(in_use);
        Ok(Seen::Present(state))
    }
}

/// Whether the plan needs the volume: a stop does not, a create does not while its machine boots, and nothing is decided
/// without the machine. Fly lets an app's volumes be looked at once a second (FM-53).
fn volume_matters(kind: OperationKind, machine: Seen<Power>) -> bool {
    match kind {
        OperationKind::Stop => false,
        OperationKind::Create => !matches!(machine, Seen::Unknown | Seen::Present(Power::Starting)),
        OperationKind::Start | OperationKind::Destroy | OperationKind::RollBack => machine != Seen::Unknown,
    }
}

/// Whether a create that is undone ever made or may have made anything. Each was written down before it was sent, and no
/// other operation came before a town's create: what is not in its row does not exist, and Fly need not be asked.
fn nothing_was_asked_for(operation: &Operation, town: &Town) -> bool {
    let progress = &operation.progress;
    let doubted = progress.unconfirmed_volume.exists() || progress.unconfirmed_machine.exists();
    town.machine_id.is_none() && town.volume_id.is_none() && !progress.machine_made && !doubted
}

/// Where the data of a town is that had a volume: what its machine mounts. Who made any other of the name, and what is on it,
/// is not ours to guess (FM-22).
fn moved_to<'named>(named: &'named [ObservedVolume], mounted: Option<&VolumeId>) -> Option<&'named ObservedVolume> {
    named.iter().find(|volume| mounted == Some(&volume.id) && !volume.destroying)
}

/// Of several volumes of one name: the one that a machine has, else one that stays.
fn first_choice(named: &[ObservedVolume]) -> Option<&ObservedVolume> {
    let bound = named.iter().find(|volume| volume.bound_to.is_some());
    bound.or_else(|| named.iter().find(|volume| !volume.destroying)).or(named.first())
}

fn present(machine: ObservedMachine, sight: &mut Sight) -> Seen<Power> {
    let power = machine.power;
    // Also of one whose create was never answered: if it vanishes, that is a loss.
    sight.progress.machine_made = true;
    sight.progress.machine_missing = false;
    sight.machine = Some(machine);
    Seen::Present(power)
}
