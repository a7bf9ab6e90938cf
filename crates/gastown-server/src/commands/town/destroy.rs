//! `gastown town destroy`: destroys a town of any owner.

use std::time::Duration;

use clap::Args;
use gastown_domain::TownStatus;

use super::follow::{Followed, follow};
use super::{Chosen, Which};
use crate::commands::confirm::confirm;
use crate::commands::say::say;
use crate::operator_access::{OperatorAccess, TownRequest, new_operation_id};
use crate::reports::{Town, TownReport};

/// The options of `gastown town destroy`.
#[derive(Debug, Clone, Args)]
pub struct Destruction {
    #[command(flatten)]
    pub(super) of: Which,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Wait until the town is destroyed, at most this long. The operation continues in any case.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

pub(super) async fn run(access: &dyn OperatorAccess, Destruction { of, yes, wait }: Destruction) -> anyhow::Result<()> {
    let of = of.chosen(access).await?;
    let Some(before) = to_destroy(access, of).await? else { return Ok(()) };
    confirm(&question(&before), before.town_name.as_str(), yes)?;
    access.request(of.town, TownRequest::Destroy, new_operation_id()).await?;
    let Some(seconds) = wait else { return accepted(access, of).await };
    let end = |found: &TownReport| is_gone(found);
    match follow(access, of, Duration::from_secs(seconds), end).await? {
        Followed::Ended(found) => ended(of, &found),
        Followed::NotInTime(state) => Err(of.not_in_time(TownRequest::Destroy.goal(), seconds, &state)),
    }
}

/// Returns the town before its destroy. If it is destroyed already, prints that and returns `None`.
async fn to_destroy(access: &dyn OperatorAccess, of: Chosen) -> anyhow::Result<Option<Town>> {
    let found = access.town(of.town).await?;
    if is_gone(&found) {
        ended(of, &found)?;
        return Ok(None);
    }
    Ok(Some(found.town))
}

fn question(town: &Town) -> String {
    let what = match &town.fly_volume_id {
        Some(volume) => format!("Its volume {volume} and all data on it are lost permanently."),
        None => "It has no volume.".to_owned(),
    };
    format!("Destroy town {} of {} ({})? {what}", town.town_name, town.user_id, town.status)
}

async fn accepted(access: &dyn OperatorAccess, of: Chosen) -> anyhow::Result<()> {
    let found = access.town(of.town).await?;
    if is_gone(&found) {
        return ended(of, &found);
    }
    Ok(if of.json {
        say(answer(&found, false))
    } else {
        let town = of.town;
        say(format!(
            "Destroy of town {town} accepted. A running `gastown serve` executes it; see `gastown town show {town}`."
        ))
    }?)
}

fn is_gone(found: &TownReport) -> bool {
    let town = &found.town;
    let left = town.holds_provider_id() || found.operation.is_some();
    town.status == TownStatus::Destroyed.as_str() && !left
}

fn ended(of: Chosen, found: &TownReport) -> anyhow::Result<()> {
    Ok(if of.json { say(answer(found, true)) } else { say(format!("Town {} is destroyed.", of.town)) }?)
}

fn answer(found: &TownReport, gone: bool) -> serde_json::Value {
    serde_json::json!({
        "townId": found.town.town_id, "status": found.town.status, "gone": gone, "operation": found.operation,
    })
}
