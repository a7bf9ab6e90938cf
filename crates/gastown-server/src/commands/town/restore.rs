//! `gastown town restore`: restores a town of any owner whose volume is lost, by the owner's word.

use anyhow::bail;
use chrono::SecondsFormat;
use clap::Args;

use super::power::{self, PowerOptions};
use crate::commands::confirm::confirm;
use crate::operator_access::{OperatorAccess, TownRequest};
use crate::reports::Town;

/// The options of `gastown town restore`.
#[derive(Debug, Clone, Args)]
pub struct Restoration {
    #[command(flatten)]
    pub(super) power: PowerOptions,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(access: &dyn OperatorAccess, Restoration { power, yes }: Restoration) -> anyhow::Result<()> {
    let of = power.of.chosen(access).await?;
    let town = power::living(access, of).await?;
    confirm(&question(&town)?, town.town_name.as_str(), yes)?;
    power::run(access, of, TownRequest::Restore, power.wait).await
}

fn question(town: &Town) -> anyhow::Result<String> {
    let Some(saved_at) = town.last_r2_sync_at else {
        bail!("town {} is not restored: it was never saved to R2", town.town_id);
    };
    Ok(format!(
        "Restore town {} of {} on a new volume? Its data is that of {}. Later changes are lost.",
        town.town_name,
        town.user_id,
        saved_at.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    ))
}
