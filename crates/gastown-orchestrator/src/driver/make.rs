//! Making a town's volume and machine: in doubt until they are seen, and in a region that has room.

use std::future::Future;

use gastown_domain::ports::{ObservedMachine, ObservedVolume, ProviderError, StoreError, TownChange};
use gastown_domain::{AppName, Failure, Operation, Progress, Region, Step, Town, UnconfirmedCreate};
use tokio::time::Instant;

use super::Reconciler;
use super::act::{Done, Learned, done, failed, missed, undescribed};
use super::observe::Sight;
use super::setback::Setback;

impl Reconciler {
    pub(super) async fn ensure_volume(
        &self,
        app: &AppName,
        operation: &mut Operation,
        town: &Town,
        sight: &Sight,
    ) -> Result<Done, StoreError> {
        let Some(region) = self.region_to_try(town, &mut operation.progress) else {
            return Ok(Done::Setback(Setback::GiveUp(Failure::NoCapacity)));
        };
        let spec = self.volume_spec(app, town, region.clone());
        let create = self.ports.provider.volumes.create_volume(&spec);
        let Some(made) = self.send(create, operation, sight, |progress| &mut progress.unconfirmed_volume).await? else {
            return Ok(missed());
        };
        Ok(match made {
            Ok(ObservedVolume { id, region, .. }) => {
                tracing::info!(volume.id = %id, %region, "volume made");
                let change = TownChange { volume: Some(Some(id)), region: Some(region), ..TownChange::default() };
                Done::Learned(Learned { phase: None, change })
            }
            Err(error) => match failed(operation.kind, Step::EnsureVolume, &error) {
                Done::Setback(Setback::NextRegion) => self.elsewhere(operation, town, region, &error),
                other => other,
            },
        })
    }

    pub(super) async fn ensure_machine(
        &self,
        app: &AppName,
        operation: &mut Operation,
        town: &Town,
        sight: &Sight,
    ) -> Result<Done, StoreError> {
        let Some(volume) = &sight.volume else { return Ok(missed()) };
        let spec = match self.machine_spec(app, town, volume.id.clone(), volume.region.clone()).await {
            Ok(spec) => spec,
            Err(error) => return undescribed(error),
        };
        let create = self.ports.provider.machines.create_machine(&spec);
        let Some(made) = self.send(create, operation, sight, |progress| &mut progress.unconfirmed_machine).await?
        else {
            return Ok(missed());
        };
        Ok(match made {
            Ok(ObservedMachine { id, .. }) => {
                tracing::info!(machine.id = %id, "machine made");
                operation.progress.machine_made = true;
                let change = TownChange { machine: Some(Some(id)), ..TownChange::default() };
                Done::Learned(Learned { phase: None, change })
            }
            Err(error) => match failed(operation.kind, Step::EnsureMachine, &error) {
                Done::Setback(Setback::NextRegion) => self.elsewhere(operation, town, volume.region.clone(), &error),
                other => other,
            },
        })
    }

    /// Sends a create. That it is in doubt is written down before; the doubt stays until what it makes is seen, and is taken
    /// back where Fly certainly made nothing. `None` where the claim may be another's by now: then nothing was sent.
    async fn send<T>(
        &self,
        create: impl Future<Output = Result<T, ProviderError>>,
        operation: &mut Operation,
        sight: &Sight,
        doubt_of: fn(&mut Progress) -> &mut UnconfirmedCreate,
    ) -> Result<Option<Result<T, ProviderError>>, StoreError> {
        let policy = &self.settings.policy;
        let before = doubt_of(&mut operation.progress).clone();
        doubt_of(&mut operation.progress)
            .sent(policy.agreeing_observations, sight.clock.now() + policy.create_visibility_timeout);
        let prolonged = Instant::now();
        self.remember(operation).await?;
        if !self.surely_holds(prolonged) {
            return Ok(None);
        }
        let began = Instant::now();
        let made = create.await;
        self.excuse_line(operation, began);
        match &made {
            Ok(_) => doubt_of(&mut operation.progress).answered(),
            Err(error) if error.may_be_applied() => {}
            Err(_) => *doubt_of(&mut operation.progress) = before,
        }
        Ok(Some(made))
    }

    /// The next region of the list that has not refused; the town's wish comes first.
    fn next_region(&self, town: &Town, progress: &Progress) -> Option<Region> {
        let listed = self.settings.regions.iter();
        town.region.iter().chain(listed).find(|region| !progress.refused_regions.contains(region)).cloned()
    }

    /// The next region, or after the last one those in which another host may have room.
    fn region_to_try(&self, town: &Town, progress: &mut Progress) -> Option<Region> {
        if let Some(region) = self.next_region(town, progress) {
            return Some(region);
        }
        if !may_try_once_more(progress) {
            return None;
        }
        let again = std::mem::take(&mut progress.full_hosts);
        progress.refused_regions.retain(|region| !again.contains(region));
        progress.second_round = true;
        self.next_region(town, progress)
    }

    /// Marks a region as full; where none is left to try, the goal cannot be reached.
    fn elsewhere(&self, operation: &mut Operation, town: &Town, full: Region, refusal: &ProviderError) -> Done {
        tracing::info!(region = %full, "no capacity, going elsewhere");
        let progress = &mut operation.progress;
        if matches!(refusal, ProviderError::HostFull { .. }) && !progress.second_round {
            progress.full_hosts.push(full.clone());
        }
        if !progress.refused_regions.contains(&full) {
            progress.refused_regions.push(full);
        }
        match self.next_region(town, progress) {
            None if !may_try_once_more(progress) => Done::Setback(Setback::GiveUp(Failure::NoCapacity)),
            _ => done(),
        }
    }
}

const fn may_try_once_more(progress: &Progress) -> bool {
    !progress.second_round && !progress.full_hosts.is_empty()
}
