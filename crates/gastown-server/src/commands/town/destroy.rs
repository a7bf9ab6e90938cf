//! `gastown town destroy`: destroys a town of any owner.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::{Requested, TownDetails};
use gastown_domain::{OperationKind, Town, TownStatus};
use gastown_persistence::Database;

use super::follow::{Followed, follow};
use super::{Chosen, Which, new_operation, town_details};
use crate::commands::confirm::confirm;
use crate::commands::lost_answers;
use crate::commands::render::json;
use crate::commands::render::table::plain;
use crate::commands::say::say;

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

pub(super) async fn run(
    database: &Database,
    of: Chosen,
    Destruction { yes, wait, .. }: Destruction,
    actor: &str,
) -> anyhow::Result<()> {
    let Some(before) = to_destroy(database, of).await? else { return Ok(()) };
    confirm(&question(&before), before.name.as_str(), yes)?;
    request(database, &before, actor).await?;
    let Some(seconds) = wait else { return accepted(database, of).await };
    let end = |found: &TownDetails| is_gone(found);
    match follow(database, of, Duration::from_secs(seconds), end).await? {
        Followed::Ended(found) => ended(of, &found),
        Followed::NotInTime(state) => Err(of.not_in_time("destroyed", seconds, &state)),
    }
}

/// Returns the town before its destroy. If it is destroyed already, prints that and returns `None`.
async fn to_destroy(database: &Database, of: Chosen) -> anyhow::Result<Option<Town>> {
    let found = town_details(database, of.town).await?;
    if is_gone(&found) {
        ended(of, &found)?;
        return Ok(None);
    }
    Ok(Some(found.town))
}

fn question(town: &Town) -> String {
    let what = match &town.volume_id {
        Some(volume) => format!("Its volume {volume} and all data on it are lost permanently."),
        None => "It has no volume.".to_owned(),
    };
    format!("Destroy town {} of {} ({})? {what}", town.name, town.owner, town.status)
}

async fn request(database: &Database, town: &Town, actor: &str) -> anyhow::Result<()> {
    let operation = new_operation(town, OperationKind::Destroy, None);
    match lost_answers::destroy(database, database, &operation, actor)
        .await
        .context("failed to write to the registry")?
    {
        Requested::Accepted(_) | Requested::Joined(_) => Ok(()),
        Requested::Busy(other) => bail!("another operation is in flight: {}", plain(other.kind.as_str())),
        // It was destroyed since it was read. Only a restore is refused as not restorable.
        Requested::NotFound | Requested::NotRestorable(_) => Ok(()),
    }
}

async fn accepted(database: &Database, of: Chosen) -> anyhow::Result<()> {
    let found = town_details(database, of.town).await?;
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

fn is_gone(found: &TownDetails) -> bool {
    let town = &found.town;
    let left = town.holds_provider_id() || found.operation.is_some();
    town.status == TownStatus::Destroyed && !left
}

fn ended(of: Chosen, found: &TownDetails) -> anyhow::Result<()> {
    Ok(if of.json { say(answer(found, true)) } else { say(format!("Town {} is destroyed.", of.town)) }?)
}

fn answer(found: &TownDetails, gone: bool) -> serde_json::Value {
    let operation = found.operation.as_ref().map(json::in_flight);
    serde_json::json!({
        "townId": found.town.id, "status": found.town.status.as_str(), "gone": gone, "operation": operation,
    })
}
