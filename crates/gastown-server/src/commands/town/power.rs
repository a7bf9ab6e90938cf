//! `gastown town start|stop|restore`: starts, stops or restores a town of any owner.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use gastown_domain::OperationId;
use serde_json::json;

use super::follow::{Followed, follow};
use super::{Chosen, Which};
use crate::commands::exit::CodedError;
use crate::commands::render::table::plain;
use crate::commands::say::say;
use crate::operator_access::{OperatorAccess, TownRequest, new_operation_id};
use crate::reports::{Readable, Town, TownReport};

/// The options of `gastown town start` and `gastown town stop`, and a part of those of `gastown town restore`.
#[derive(Debug, Clone, Args)]
pub struct PowerOptions {
    #[command(flatten)]
    pub(super) of: Which,
    /// Wait for the end of the operation, at most this long. The operation continues in any case.
    #[arg(long, value_name = "SECONDS")]
    pub(super) wait: Option<u64>,
}

pub(super) async fn run(
    access: &dyn OperatorAccess,
    of: Chosen,
    request: TownRequest,
    wait: Option<u64>,
) -> anyhow::Result<()> {
    let id = access.request(of.town, request, new_operation_id()).await?;
    let Some(seconds) = wait else { return accepted(access, of, request).await };
    let end = |found: &TownReport| match &found.operation {
        Some(Readable::Read(held)) => held.operation.operation_id != id,
        Some(Readable::Unreadable(_)) => false,
        None => true,
    };
    match follow(access, of, Duration::from_secs(seconds), end).await? {
        Followed::Ended(found) => ended(access, of, request, &found, id).await,
        Followed::NotInTime(state) => Err(of.not_in_time(request.goal(), seconds, &state)),
    }
}

/// Returns a town that is not destroyed.
pub(super) async fn living(access: &dyn OperatorAccess, of: Chosen) -> anyhow::Result<Town> {
    let town = access.town(of.town).await?.town;
    if town.is_tombstone() {
        return Err(CodedError::NoSuchTown(format!("{} is destroyed", of.town)).into());
    }
    Ok(town)
}

async fn accepted(access: &dyn OperatorAccess, of: Chosen, request: TownRequest) -> anyhow::Result<()> {
    if of.json {
        return Ok(say(answer(&access.town(of.town).await?))?);
    }
    let (kind, town) = (request.as_str(), of.town);
    Ok(say(format!(
        "The {kind} of town {town} is accepted. A running `gastown serve` executes it; see `gastown town show {town}`."
    ))?)
}

async fn ended(
    access: &dyn OperatorAccess,
    of: Chosen,
    request: TownRequest,
    found: &TownReport,
    id: OperationId,
) -> anyhow::Result<()> {
    match access.end_of(id).await?.and_then(|end| end.failure) {
        Some(cause) => bail!(
            "the {} of town {} failed ({}): {}",
            request.as_str(),
            of.town,
            plain(&cause.code),
            plain(&cause.message)
        ),
        None if of.json => Ok(say(answer(found))?),
        None => Ok(say(format!("Town {} is {}.", of.town, plain(&found.town.status)))?),
    }
}

pub(super) fn answer(found: &TownReport) -> serde_json::Value {
    json!({ "townId": found.town.town_id, "status": found.town.status, "operation": found.operation })
}
