//! The sandboxes on the machines of the fake Fly.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{SandboxAddress, SandboxError, Sandboxes};
use gastown_domain::{Branch, RigName, SandboxRig};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::env::key_of;
use crate::faults::Call;
use crate::fly::FlyClient;
use crate::world::{Phase, SANDBOX_BOOT, Volume, World};

/// Returns the volume of the sandbox at this address if the sandbox is up.
fn answering<'w>(world: &'w mut World, at: &SandboxAddress) -> Result<&'w mut Volume, SandboxError> {
    let unreachable = || SandboxError::Unreachable { cause: "connection refused".into() };
    let machine = world.machine(&at.machine).ok_or_else(unreachable)?;
    assert_eq!(machine.app, at.app, "the address has another app than the machine");
    if !machine.belongs_to(at.town) {
        return Err(SandboxError::Wrong { cause: "another town".into() });
    }
    if at.keys.iter().all(|key| key.expose_secret() != key_of(at.town)) {
        return Err(SandboxError::Unauthorized);
    }
    let (phase, volume) = (machine.phase, machine.volume.clone());
    match phase {
        Phase::On(since) if Instant::now() >= since + SANDBOX_BOOT => {
            let is_wedged = |until: &Option<Instant>| until.is_none_or(|until| since <= until);
            if world.wedged.get(&at.town).is_some_and(is_wedged) {
                return Err(unreachable());
            }
        }
        _ => return Err(unreachable()),
    }
    world.volume(&volume).ok_or_else(unreachable)
}

#[async_trait]
impl Sandboxes for FlyClient {
    async fn health(&self, at: &SandboxAddress) -> Result<(), SandboxError> {
        let at = at.clone();
        self.call(Call::Health, move |world| {
            answering(world, &at)?;
            let image = world.machine(&at.machine).map(|machine| machine.image.clone());
            let is_bad = image.is_some_and(|image| world.bad_images.contains(&image));
            let unhealthy = SandboxError::Unhealthy { reason: gastown_domain::HealthReason::NotReady };
            if world.sandboxes_unhealthy || is_bad { Err(unhealthy) } else { Ok(()) }
        })
        .await
    }

    async fn restored(&self, at: &SandboxAddress) -> Result<Option<DateTime<Utc>>, SandboxError> {
        let at = at.clone();
        self.call(Call::Restored, move |world| {
            let restores = world.machine(&at.machine).is_some_and(|machine| machine.env.contains_key("R2_RESTORE"));
            answering(world, &at)?;
            let unhealthy = SandboxError::Unhealthy { reason: gastown_domain::HealthReason::NotReady };
            let is_restored = restores && !world.images_cannot_restore;
            // The sandbox's clock is wrong on purpose.
            if world.sandboxes_unhealthy { Err(unhealthy) } else { Ok(is_restored.then_some(DateTime::<Utc>::MAX_UTC)) }
        })
        .await
    }

    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError> {
        let at = at.clone();
        self.call(Call::Rigs, move |world| Ok(answering(world, &at)?.rigs.clone())).await
    }

    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<Option<Branch>, SandboxError> {
        let (at, rig) = (at.clone(), rig.clone());
        let names = (at.town, rig.name.to_string());
        let added = self.call(Call::AddRig, move |world| {
            let refused = world.refused_rigs.contains(rig.name.as_str());
            let rigs = &mut answering(world, &at)?.rigs;
            let taken = rigs.iter().any(|existing| existing.name == rig.name && existing.repo != rig.repo);
            if refused || taken {
                return Err(SandboxError::Refused { reason: "the clone failed".to_owned() });
            }
            if let Some(existing) = rigs.iter().find(|existing| existing.name == rig.name) {
                return Ok(existing.branch.clone());
            }
            // The sandbox detects the default branch.
            let branch = rig.branch.clone().or_else(|| "trunk".parse().ok());
            rigs.push(SandboxRig { branch: branch.clone(), ..rig });
            Ok(branch)
        });
        let added = added.await;
        if matches!(added, Err(SandboxError::Refused { .. })) {
            self.fly.world().refused_rig_calls.push(names);
        }
        added
    }

    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, force: bool) -> Result<(), SandboxError> {
        let (at, rig) = (at.clone(), rig.clone());
        let names = (at.town, rig.to_string());
        let removed = self.call(Call::RemoveRig, move |world| {
            let busy = world.busy_rigs.contains(rig.as_str()) && !force;
            let rigs = &mut answering(world, &at)?.rigs;
            if busy && rigs.iter().any(|existing| existing.name == rig) {
                return Err(SandboxError::InTheWay { in_the_way: vec!["a running session".to_owned()] });
            }
            rigs.retain(|existing| existing.name != rig);
            Ok(())
        });
        let removed = removed.await;
        if matches!(removed, Err(SandboxError::InTheWay { .. })) {
            self.fly.world().busy_rig_calls.push(names);
        }
        removed
    }

    async fn sync(&self, at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError> {
        let at = at.clone();
        // The sandbox's clock is wrong on purpose.
        self.call(Call::Sync, move |world| answering(world, &at).map(|_| DateTime::<Utc>::MIN_UTC)).await
    }
}
