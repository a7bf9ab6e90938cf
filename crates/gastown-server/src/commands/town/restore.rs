//! `gastown town restore`: restores a town of any owner whose volume is lost, by the owner's word.

use anyhow::bail;
use clap::Args;
use gastown_domain::Town;
use gastown_orchestrator::Timeouts;
use gastown_persistence::Database;

use super::power::{self, Power};
use super::{Chosen, Which};
use crate::commands::confirm::confirm;

/// The options of `gastown town restore`.
#[derive(Debug, Clone, Args)]
pub struct Restoration {
    #[command(flatten)]
    pub(super) of: Which,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Wait for the end of the operation, at most this long. The operation continues in any case.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

pub(super) async fn run(
    database: &Database,
    of: Chosen,
    Restoration { yes, wait, .. }: Restoration,
    by: (&str, &Timeouts),
) -> anyhow::Result<()> {
    let town = power::living(database, of).await?;
    confirm(&question(&town)?, town.name.as_str(), yes)?;
    power::run(database, of, Power::Restore, wait, by).await
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
