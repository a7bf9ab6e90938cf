//! `gastown serve`: runs the control plane in production.

use anyhow::Context as _;

use crate::config::Config;
use crate::control_plane::ControlPlane;
use crate::settings_source::Source;

/// Reads the settings and serves until a signal stops the process.
pub async fn run(source: &Source, migrate: bool, allow_actions: bool) -> anyhow::Result<()> {
    let mut config = Config::read(source)?;
    config.migrate_on_start |= migrate;
    config.console.allows_actions = allow_actions;
    if !config.migrate_on_start {
        super::database::require_file(&config.database_url).await?;
    }
    let stop = super::shutdown::on_signal()?;
    let plane = ControlPlane::bind(config).await.context("failed to start")?;
    plane.serve(stop).await.context("server failed")
}
