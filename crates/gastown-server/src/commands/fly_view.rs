//! Machines and volumes as Fly shows them, for commands that compare them with the registry. Only reads.

use anyhow::Context as _;
use gastown_domain::ports::Inventory as _;
use gastown_fly::{Fly, MachineDetails, VolumeDetails};

use crate::config::OrphansConfig;

/// Everything in our apps at Fly.
#[derive(Debug, Default)]
pub(super) struct FlyView {
    /// The machines with our name or metadata.
    pub(super) machines: Vec<MachineDetails>,
    /// The number of other machines.
    pub(super) other_machines: usize,
    /// The volumes, also those without our name.
    pub(super) volumes: Vec<VolumeDetails>,
    /// The number of apps that were read.
    pub(super) apps: usize,
    /// The number of list entries that cannot be read.
    pub(super) unreadable: usize,
}

/// Returns the adapter of Fly, whose calls are not counted.
pub(super) fn fly(config: &OrphansConfig) -> anyhow::Result<Fly> {
    Ok(config.fly.settings().adapter(config.policy.timeouts.lease)?)
}

/// Reads every app. An app that cannot be read is an error, because its towns would be missing.
pub(super) async fn read(fly: &Fly) -> anyhow::Result<FlyView> {
    let apps = fly.apps().await.context("failed to list the apps at Fly")?;
    let mut view = FlyView { apps: apps.len(), ..FlyView::default() };
    for app in apps {
        let details = fly.details(&app).await.with_context(|| format!("failed to read app {app}"))?;
        view.machines.extend(details.machines);
        view.other_machines += details.other_machines;
        view.volumes.extend(details.volumes);
        view.unreadable += details.unreadable;
    }
    Ok(view)
}
