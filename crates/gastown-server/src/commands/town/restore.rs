//! `gastown town restore`: restores a town of any owner whose volume is lost, by the owner's word.

use anyhow::bail;
use clap::Args;
use gastown_domain::Town;
use gastown_orchestrator::Timeouts;
use gastown_persistence::Database;

use super::Chosen;
use super::power::{self, Power, PowerOptions};
use crate::commands::confirm::confirm;

/// The options of `gastown town restore`.
#[derive(Debug, Clone, Args)]
pub struct Restoration {
    #[command(flatten)]
    pub(super) power: PowerOptions,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    database: &Database,
    of: Chosen,
    Restoration { power, yes }: Restoration,
    by: (&str, &Timeouts),
) -> anyhow::Result<()> {
    let town = power::living(database, of).await?;
    confirm(&question(&town)?, town.name.as_str(), yes)?;
    power::run(database, of, Power::Restore, power.wait, by).await
}

fn question(town: &Town) -> anyhow::Result<String> {
    let Some(saved_at) = town.last_r2_sync_at else {
        bail!("town {} is not restored: it was never saved to R2", town.id);
    };
    Ok(format!(
        "Restore town {} of {} on a new volume? Its data is that of {}. Later changes are lost.",
        town.name,
        town.owner,
        saved_at.to_rfc3339()
    ))
}
