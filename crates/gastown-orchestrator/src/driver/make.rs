//! Making a town's volume and machine: in doubt until they are seen, and in a region that has room.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{MachineSighting, ProviderError, StoreError, TownChange, VolumeSighting};
use gastown_domain::{AppName, Failure, Operation, Progress, Region, Step, Town};
use tokio::time::Instant;

use super::Driver;
use super::act::{Done, Learned, done, failed, missed, undescribed};
use super::observe::Sight;
use super::setback::Setback;

impl Driver {
    /// The next region of the list that has not refused; the town's wish comes first.
    fn next_region(&self, town: &Town, progress: &Progress) -> Option<Region> {
        let listed = self.settings.regions.iter();
        town.region.iter().chain(listed).find(|region| !progress.refused_regions.contains(region)).cloned()
    }

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
        let before = operation.progress.volume_doubt.clone();
        let (looks, until) = self.in_doubt(sight);
        operation.progress.volume_doubt.sent(looks, until);
        let began = Instant::now();
        self.remember(operation).await?;
        if !self.surely_holds(began) {
            return Ok(missed());
        }
        let made = self.ports.outside.volumes.create_volume(&self.volume_spec(app, town, region.clone())).await;
        self.excuse_line(operation, began);
        if is_refused(&made) {
            operation.progress.volume_doubt = before;
        }
        Ok(match made {
            Ok(VolumeSighting { id, region, .. }) => {
                tracing::info!(volume.id = %id, %region, "volume made");
                operation.progress.volume_doubt.answered();
                let change = TownChange { volume: Some(Some(id)), region: Some(region), ..TownChange::default() };
                Done::Learned(Learned { mark: None, change })
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
        let before = operation.progress.machine_doubt.clone();
        let (looks, until) = self.in_doubt(sight);
        operation.progress.machine_doubt.sent(looks, until);
        let began = Instant::now();
        self.remember(operation).await?;
        if !self.surely_holds(began) {
            return Ok(missed());
        }
        let made = self.ports.outside.machines.create_machine(&spec).await;
        self.excuse_line(operation, began);
        if is_refused(&made) {
            operation.progress.machine_doubt = before;
        }
        Ok(match made {
            Ok(MachineSighting { id, .. }) => {
                tracing::info!(machine.id = %id, "machine made");
                operation.progress.machine_doubt.answered();
                operation.progress.machine_made = true;
                let change = TownChange { machine: Some(Some(id)), ..TownChange::default() };
                Done::Learned(Learned { mark: None, change })
            }
            Err(error) => match failed(operation.kind, Step::EnsureMachine, &error) {
                Done::Setback(Setback::NextRegion) => self.elsewhere(operation, town, volume.region.clone(), &error),
                other => other,
            },
        })
    }

    /// What a create that is sent now leaves in doubt: how many looks must agree that it made nothing, and until when it may
    /// still do so. A call ends within a lease of the moment from which it was asked for.
    fn in_doubt(&self, sight: &Sight) -> (u8, DateTime<Utc>) {
        (self.settings.policy.agreeing_looks, sight.clock.now() + self.settings.policy.lease)
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

/// Whether it is certain that nothing was made.
fn is_refused<T>(made: &Result<T, ProviderError>) -> bool {
    made.as_ref().is_err_and(|error| !error.may_be_applied())
}

const fn may_try_once_more(progress: &Progress) -> bool {
    !progress.second_round && !progress.full_hosts.is_empty()
}
