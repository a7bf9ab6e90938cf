//! `gastown serve`: the control plane in production.

use anyhow::Context as _;

use crate::config::Config;
use crate::control_plane::ControlPlane;
use crate::settings_source::Source;

/// Reads everything, serves until told to stop.
pub async fn run(source: &Source, migrate: bool) -> anyhow::Result<()> {
    let mut config = Config::read(source)?;
    config.migrate_on_start |= migrate;
    let stop = super::shutdown::on_signal()?;
    let plane = ControlPlane::bind(config).await.context("cannot start")?;
    plane.serve(stop).await.context("the server ended")
}
