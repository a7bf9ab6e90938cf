//! `gastown town start|stop|restore`: starts, stops or restores a town of any owner.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::{Operations as _, Requested, TownDetails};
use gastown_domain::{Failure, OperationId, OperationKind, Recorded, Rejection, Town};
use gastown_orchestrator::Timeouts;
use gastown_persistence::Database;
use serde_json::json;

use super::follow::{Followed, follow};
use super::{Chosen, Which, new_operation, town_details};
use crate::commands::exit::CodedError;
use crate::commands::lost_answers;
use crate::commands::render::json;
use crate::commands::render::table::plain;
use crate::commands::say::say;

/// The options of `gastown town start` and `gastown town stop`, and a part of those of `gastown town restore`.
#[derive(Debug, Clone, Args)]
pub struct PowerOptions {
    #[command(flatten)]
    pub(super) of: Which,
    /// Wait for the end of the operation, at most this long. The operation continues in any case.
    #[arg(long, value_name = "SECONDS")]
    pub(super) wait: Option<u64>,
}

/// A start, a stop or a restore.
#[derive(Debug, Clone, Copy)]
pub(super) enum Power {
    Start,
    Stop,
    Restore,
}

impl Power {
    const fn kind(self) -> OperationKind {
        match self {
            Self::Start => OperationKind::Start,
            Self::Stop => OperationKind::Stop,
            Self::Restore => OperationKind::Restore,
        }
    }

    const fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Start => timeouts.start,
            Self::Stop => timeouts.stop,
            Self::Restore => timeouts.restore,
        }
    }

    const fn ended(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restore => "restored",
        }
    }
}

pub(super) async fn run(
    database: &Database,
    of: Chosen,
    power: Power,
    wait: Option<u64>,
    (actor, timeouts): (&str, &Timeouts),
) -> anyhow::Result<()> {
    let before = living(database, of).await?;
    let id = request(database, &before, power, actor, timeouts).await?;
    let Some(seconds) = wait else { return accepted(database, of, power).await };
    let end = |found: &TownDetails| match &found.operation {
        Some(Ok(held)) => held.operation.id != id,
        Some(Err(_)) => false,
        None => true,
    };
    match follow(database, of, Duration::from_secs(seconds), end).await? {
        Followed::Ended(found) => ended(database, of, power, &found, id).await,
        Followed::NotInTime(state) => Err(of.not_in_time(power.ended(), seconds, &state)),
    }
}

/// Returns a town that is not destroyed.
pub(super) async fn living(database: &Database, of: Chosen) -> anyhow::Result<Town> {
    let town = town_details(database, of.town).await?.town;
    if town.is_tombstone() {
        return Err(CodedError::NoSuchTown(format!("{} is destroyed", of.town)).into());
    }
    Ok(town)
}

/// Returns the id of the operation, which may be an earlier one of the same kind.
async fn request(
    database: &Database,
    town: &Town,
    power: Power,
    actor: &str,
    timeouts: &Timeouts,
) -> anyhow::Result<OperationId> {
    let operation = new_operation(town, power.kind(), Some(power.timeout(timeouts)));
    let requested = lost_answers::request(database, database, &operation, actor).await;
    match requested.context("failed to write to the registry")? {
        Some(Requested::Accepted(accepted)) => Ok(accepted.operation.id),
        Some(Requested::Joined(joined)) => Ok(joined.id),
        Some(Requested::Busy(other)) => bail!(
            "another operation is in flight: {}; wait for its end, see `gastown town show {}`",
            plain(other.kind.as_str()),
            town.id
        ),
        Some(Requested::NotRestorable(why)) => bail!("town {} is not restored: {why}", town.id),
        Some(Requested::NotFound) => Err(CodedError::NoSuchTown(town.id.to_string()).into()),
        None => Ok(operation.id),
    }
}

async fn accepted(database: &Database, of: Chosen, power: Power) -> anyhow::Result<()> {
    if of.json {
        return Ok(say(answer(&town_details(database, of.town).await?))?);
    }
    let (kind, town) = (power.kind().as_str(), of.town);
    Ok(say(format!(
        "The {kind} of town {town} is accepted. A running `gastown serve` executes it; see `gastown town show {town}`."
    ))?)
}

async fn ended(
    database: &Database,
    of: Chosen,
    power: Power,
    found: &TownDetails,
    id: OperationId,
) -> anyhow::Result<()> {
    match failure_of(database, id).await? {
        Some(failure) => bail!(
            "the {} of town {} failed ({}): {}",
            power.kind().as_str(),
            of.town,
            plain(failure.as_str()),
            failure.message()
        ),
        None if of.json => Ok(say(answer(found))?),
        None => Ok(say(format!("Town {} is {}.", of.town, found.town.status))?),
    }
}

/// Returns the reason of an operation that has failed, or `None` if it succeeded or is not recorded.
pub(super) async fn failure_of(database: &Database, id: OperationId) -> anyhow::Result<Option<Recorded<Failure>>> {
    let outcome = database.outcome(id).await.context("failed to read the registry")?;
    Ok(match outcome {
        Some(Ok(())) | None => None,
        Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => Some(failure),
        Some(Err(Rejection::Preempted)) => Some(Recorded::Known(Failure::Preempted)),
    })
}

fn answer(found: &TownDetails) -> serde_json::Value {
    let operation = found.operation.as_ref().map(json::in_flight);
    json!({ "townId": found.town.id, "status": found.town.status.as_str(), "operation": operation })
}
