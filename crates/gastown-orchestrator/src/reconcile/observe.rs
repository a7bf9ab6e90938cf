//! Observing a town: what the claim knows serves, and the rest is looked up at the provider by recorded id, else by name and
//! metadata. Writes nothing.

mod goal;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{ObservedMachine, ObservedVolume, ProviderError, TownChange};
use gastown_domain::{AppName, LocatedVolume, Operation, OperationKind, Progress, Region, Seen, Town, VolumeState};

use super::knowledge::{Knowledge, Known};
use super::known_apps::KnownApps;
use crate::locate;
use crate::ports::Provider;

/// The result of one observation.
#[derive(Debug)]
pub(super) struct Observed {
    /// The town's machine.
    pub(super) machine: Seen<ObservedMachine>,
    /// The town's volume.
    pub(super) volume: Seen<LocatedVolume>,
    /// True while an unconfirmed create may still make something.
    pub(super) create_pending: bool,
    /// Ids that were found, or are proven absent. Stored before anything else happens.
    pub(super) change: TownChange,
    /// The progress after the observation.
    pub(super) progress: Progress,
    /// The first failed call, which leaves its resource unknown.
    pub(super) error: Option<ProviderError>,
    /// True if the machine was looked up.
    pub(super) looked_at_machine: bool,
    /// True if the volume was looked up.
    pub(super) looked_at_volume: bool,
}

/// One operation to observe.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) provider: &'a Provider,
    pub(super) apps: &'a KnownApps,
    pub(super) app: &'a AppName,
    pub(super) operation: &'a Operation,
    pub(super) town: &'a Town,
    pub(super) knowledge: &'a Knowledge,
}

impl Subject<'_> {
    /// Observes machine and volume. `now` is the database's time from before the observation. An unconfirmed create of
    /// unknown age may appear until `latest`.
    pub(super) async fn observe(self, now: DateTime<Utc>, latest: DateTime<Utc>) -> Observed {
        let mut observed = Observed::of(self.operation.progress.clone());
        if self.requested_nothing() {
            observed.machine = Seen::Absent;
            observed.volume = Seen::Absent;
            return observed;
        }
        observed.error = self.observe_resources(&mut observed).await.err();
        observed.confirm_creates(self.operation.kind, now, latest);
        observed
    }

    /// Returns the observation that needs no call, or `None` where one is needed.
    pub(super) fn known(self) -> Option<Observed> {
        if self.needs_a_look() || !self.is_app_known() {
            return None;
        }
        let mut observed = Observed::of(self.operation.progress.clone());
        observed.machine = self.known_machine()?;
        observed.volume = self.known_volume().unwrap_or_default();
        Some(observed)
    }

    /// Returns true if an observation looks at machine or volume.
    pub(super) fn needs_a_look(self) -> bool {
        let machine = self.known_machine();
        let volume_matters = self.volume_matters(machine.as_ref().unwrap_or(&Seen::Absent));
        machine.is_none() || (volume_matters && self.known_volume().is_none())
    }

    /// Returns true for the roll back of a create that never sent a call. The provider need not be asked.
    fn requested_nothing(self) -> bool {
        self.operation.kind == OperationKind::RollBack && self.never_requested_volume()
    }

    /// Returns true if no machine of the town was ever requested. Every create is recorded before it is sent, and no other
    /// operation comes before a town's create.
    fn never_requested_machine(self) -> bool {
        let progress = &self.operation.progress;
        self.is_of_a_create()
            && self.town.machine_id.is_none()
            && !progress.machine_made
            && !progress.unconfirmed_machine.exists()
    }

    /// Returns true if no volume of the town was ever requested. A machine is requested after its volume.
    fn never_requested_volume(self) -> bool {
        let progress = &self.operation.progress;
        self.never_requested_machine()
            && self.town.volume_id.is_none()
            && !progress.volume_made
            && !progress.unconfirmed_volume.exists()
    }

    fn known_machine(self) -> Option<Seen<ObservedMachine>> {
        match &self.knowledge.machine {
            Known::Answered(seen) => Some(seen.clone()),
            Known::Stale | Known::Deleted => self.never_requested_machine().then_some(Seen::Absent),
        }
    }

    fn known_volume(self) -> Option<Seen<LocatedVolume>> {
        match &self.knowledge.volume {
            Known::Answered(seen) => Some(seen.clone()),
            Known::Stale | Known::Deleted => self.never_requested_volume().then_some(Seen::Absent),
        }
    }

    async fn observe_resources(self, observed: &mut Observed) -> Result<(), ProviderError> {
        self.ensure_app().await?;
        self.observe_machine(observed).await?;
        if !self.volume_matters(&observed.machine) {
            return Ok(());
        }
        let volume = self.observe_volume(observed).await?;
        if self.operation.kind.removes() && observed.looked_at_machine && observed.machine == Seen::Absent {
            observed.machine = Seen::Unknown;
            self.observe_holder(volume.as_ref(), observed).await?;
        }
        Ok(())
    }

    /// Makes sure that the app exists. A town of which nothing was requested trusts an earlier answer.
    ///
    /// A list that answers "no such app" may come from a token that lost its scope. Only the app itself proves that it is
    /// absent (FM-33).
    async fn ensure_app(self) -> Result<(), ProviderError> {
        if self.is_app_known() {
            return Ok(());
        }
        self.provider.apps.ensure(self.app).await?;
        self.apps.insert(self.app);
        Ok(())
    }

    fn is_app_known(self) -> bool {
        self.town.holds_provider_id() || (self.never_requested_volume() && self.apps.contains(self.app))
    }

    async fn observe_machine(self, observed: &mut Observed) -> Result<(), ProviderError> {
        if let Some(known) = self.known_machine() {
            observed.machine = known;
            return Ok(());
        }
        observed.looked_at_machine = true;
        let machines = self.provider.machines.as_ref();
        if let Some(machine) = locate::machine::recorded(machines, self.app, self.town).await? {
            let create = observed.progress.unconfirmed_machine;
            observed.progress.unconfirmed_machine = create.recorded_seen();
            observed.saw_machine(machine, self.found_is_made());
            return Ok(());
        }
        if observed.progress.unconfirmed_machine.awaits_recorded() {
            observed.missed_machine();
            return Ok(());
        }
        let named = locate::machine::named(machines, self.app, self.town).await?;
        let Some(machine) = named.into_iter().next() else {
            observed.missed_machine();
            if self.town.machine_id.is_some() && observed.machine == Seen::Absent {
                observed.change.machine = Some(None);
                observed.progress.machine_missing = true;
            }
            return Ok(());
        };
        tracing::info!(machine.id = %machine.id, "machine found by name or metadata");
        observed.progress.unconfirmed_machine = observed.progress.unconfirmed_machine.found();
        observed.change.machine = Some(Some(machine.id.clone()));
        observed.saw_machine(machine, self.found_is_made());
        Ok(())
    }

    /// Observes the machine that mounts the volume of a removal, though neither its id nor its name led to it (FM-13).
    async fn observe_holder(
        self,
        volume: Option<&ObservedVolume>,
        observed: &mut Observed,
    ) -> Result<(), ProviderError> {
        let holder = match volume {
            Some(volume) => locate::machine::holder(self.provider.machines.as_ref(), self.app, volume).await?,
            None => None,
        };
        let Some(machine) = holder else {
            observed.machine = Seen::Absent;
            return Ok(());
        };
        tracing::warn!(machine.id = %machine.id, "machine found by its volume only");
        observed.change.machine = Some(Some(machine.id.clone()));
        observed.saw_machine(machine, self.found_is_made());
        Ok(())
    }

    async fn observe_volume(self, observed: &mut Observed) -> Result<Option<ObservedVolume>, ProviderError> {
        if let Some(known) = self.known_volume() {
            observed.volume = known;
            return Ok(None);
        }
        observed.looked_at_volume = true;
        if let Some(elsewhere) = self.moved_volume(&observed.machine) {
            observed.volume = Seen::Present(elsewhere);
            return Ok(None);
        }
        let recorded = self.recorded_volume().await?;
        if recorded.is_none() && observed.progress.unconfirmed_volume.awaits_recorded() {
            observed.missed_volume();
            return Ok(None);
        }
        if recorded.is_none() && self.knowledge.volume == Known::Deleted {
            observed.volume = Seen::Absent;
            return Ok(None);
        }
        let is_lost = self.town.volume_id.is_some() && recorded.is_none();
        let named = self.named_volumes(recorded.as_ref(), observed).await?;
        let Some(in_use) = self.choose_volume(recorded, &named, observed) else {
            observed.missed_volume();
            // The id is dropped only once the name is proven absent too. A town that stays keeps the id of a lost volume,
            // which leads to its data (FM-22).
            if is_lost && observed.volume == Seen::Absent && !self.keeps_lost_id() {
                observed.change.volume = Some(None);
            }
            return Ok(None);
        };
        observed.progress.volume_made |= self.found_is_made();
        if !self.proves_loss() {
            self.adopt_volume(&in_use, observed);
        }
        let region = in_use.region.clone().or_else(|| self.recorded_region(&in_use));
        let state = self.volume_state((&in_use, region.as_ref()), &named, &observed.progress);
        observed.volume = Seen::Present(LocatedVolume { id: in_use.id.clone(), region, state });
        Ok(Some(in_use))
    }

    /// Fetches the recorded volume. Once a restore has begun to replace a lost volume, that one does not count.
    async fn recorded_volume(self) -> Result<Option<ObservedVolume>, ProviderError> {
        if self.town.volume_id.as_ref().is_some_and(|id| self.is_replaced(id)) {
            return Ok(None);
        }
        locate::volume::recorded(self.provider.volumes.as_ref(), self.app, self.town).await
    }

    /// Lists the volumes of the town's name where the recorded one does not decide. After a lost answer there may be two
    /// (FM-02).
    async fn named_volumes(
        self,
        recorded: Option<&ObservedVolume>,
        observed: &mut Observed,
    ) -> Result<Vec<ObservedVolume>, ProviderError> {
        let create = observed.progress.unconfirmed_volume;
        if recorded.is_some_and(|volume| !volume.destroying) {
            observed.progress.unconfirmed_volume = create.recorded_seen();
        }
        let may_be_several = self.places_volume() && observed.progress.unconfirmed_volume.exists();
        let may_be_elsewhere = self.is_start() || self.proves_loss();
        let is_going = recorded.is_none_or(|volume| may_be_elsewhere && volume.destroying);
        if !is_going && !may_be_several {
            return Ok(Vec::new());
        }
        let mut named = locate::volume::named(self.provider.volumes.as_ref(), self.app, self.town).await?;
        named.retain(|volume| !self.is_replaced(&volume.id));
        Ok(named)
    }

    /// Chooses the volume in use. A create treats a volume that is being destroyed as absent, because it is empty. For a
    /// start it is lost, unless the provider has moved it.
    fn choose_volume(
        self,
        recorded: Option<ObservedVolume>,
        named: &[ObservedVolume],
        observed: &Observed,
    ) -> Option<ObservedVolume> {
        let mounted = match &observed.machine {
            Seen::Present(machine) => machine.volume.as_ref(),
            Seen::Absent | Seen::Unknown => None,
        };
        match recorded {
            Some(volume) if !volume.destroying || self.operation.kind.removes() => Some(volume),
            // Any volume that stays keeps the loss from being proven.
            _ if self.proves_loss() => named.iter().find(|volume| !volume.destroying).or(named.first()).cloned(),
            recorded if self.is_start() && self.town.volume_id.is_some() => {
                locate::volume::mounted(named, mounted).cloned().or(recorded)
            }
            _ => {
                let preferred = locate::volume::preferred(named);
                preferred.filter(|volume| !self.places_volume() || !volume.destroying).cloned()
            }
        }
    }

    fn adopt_volume(self, in_use: &ObservedVolume, observed: &mut Observed) {
        if self.town.volume_id.as_ref() == Some(&in_use.id) {
            if in_use.region.is_some() && in_use.region != self.town.region {
                observed.change.region = Some(in_use.region.clone());
            }
            return;
        }
        tracing::info!(volume.id = %in_use.id, "volume found by name");
        if !in_use.destroying {
            observed.progress.unconfirmed_volume = observed.progress.unconfirmed_volume.found();
        }
        observed.change.volume = Some(Some(in_use.id.clone()));
        // Without an answer about it, the region is not the one that the town wished for.
        observed.change.region = Some(in_use.region.clone());
    }

    /// Returns the region that the row records for this volume. The region of a row that names another volume, or none, is
    /// only a wish.
    fn recorded_region(self, in_use: &ObservedVolume) -> Option<Region> {
        if self.town.volume_id.as_ref() == Some(&in_use.id) { self.town.region.clone() } else { None }
    }

    fn volume_state(
        self,
        (in_use, region): (&ObservedVolume, Option<&Region>),
        named: &[ObservedVolume],
        progress: &Progress,
    ) -> VolumeState {
        let is_surplus =
            |other: &&ObservedVolume| other.id != in_use.id && other.bound_to.is_none() && !other.destroying;
        let surplus = named.iter().find(is_surplus).filter(|_| self.places_volume());
        let has_refused = |region| progress.refused_regions.contains(region);
        let is_misplaced = self.places_volume() && region.is_some_and(has_refused);
        match surplus {
            _ if in_use.destroying => VolumeState::Destroying,
            Some(surplus) => VolumeState::Surplus(surplus.id.clone()),
            None if is_misplaced => VolumeState::Misplaced,
            None => VolumeState::Ready,
        }
    }
}

impl Observed {
    fn of(progress: Progress) -> Self {
        let (machine, volume) = (Seen::Unknown, Seen::Unknown);
        Self {
            machine,
            volume,
            create_pending: false,
            change: TownChange::default(),
            progress,
            error: None,
            looked_at_machine: false,
            looked_at_volume: false,
        }
    }

    /// Returns true when the operation waits only for the proof that nothing is there, or that nothing more appears.
    pub(super) fn awaits_proof(&self) -> bool {
        let unknown = self.machine == Seen::Unknown || self.volume == Seen::Unknown;
        self.error.is_none() && (self.create_pending || unknown)
    }

    fn saw_machine(&mut self, machine: ObservedMachine, is_made: bool) {
        // Also when its create was never answered: if it vanishes, that is a loss.
        self.progress.machine_made |= is_made;
        self.progress.machine_missing = false;
        self.machine = Seen::Present(machine);
    }

    fn missed_machine(&mut self) {
        let create = self.progress.unconfirmed_machine;
        self.machine = create.absence();
        self.progress.unconfirmed_machine = create.after_absence();
    }

    fn missed_volume(&mut self) {
        let create = self.progress.unconfirmed_volume;
        self.volume = create.absence();
        self.progress.unconfirmed_volume = create.after_absence();
    }

    /// Judges the unconfirmed creates by this observation. One that was cut short proves nothing. The row of a town that stays
    /// accounts for a create that was answered.
    fn confirm_creates(&mut self, kind: OperationKind, now: DateTime<Utc>, latest: DateTime<Utc>) {
        let is_whole = self.error.is_none();
        let mut pending = false;
        for (create, looked) in [
            (&mut self.progress.unconfirmed_volume, self.looked_at_volume),
            (&mut self.progress.unconfirmed_machine, self.looked_at_machine),
        ] {
            *create = create.bounded(latest);
            let is_open = kind.removes() || create.has_unaccounted();
            pending |= is_open && if is_whole { create.may_still_appear(now) } else { create.exists() };
            if is_whole && looked {
                *create = create.after_observation(now);
            }
        }
        self.create_pending = pending;
    }
}
