//! `gastown town show|retry|destroy`: operates on one town, without edits of the database.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use gastown_domain::ports::{
    Clock as _, HeldOperation, Ids as _, NewOperation, Operator as _, Requested, Retried, TownDetails,
};
use gastown_domain::{Failure, OperationKind, Recorded, Town, TownId, TownStatus, TownTag};
use gastown_fly::{machine_name, tag_of_machine_name, volume_name};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock};
use serde_json::json;
use tokio::time::Instant;

use super::actor::actor;
use super::confirm::confirm;
use super::database;
use super::lost_answers;
use super::render::table::plain;
use super::render::{json, table};
use super::say::say;
use crate::settings_source::Source;

/// The number of events that are shown.
const EVENTS: u32 = 20;
/// The pause between two reads of a destroy that is followed.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The subcommands of `gastown town`. Each needs only `DATABASE_URL`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Show everything about a town: row, rigs, health, the operation in flight and its worker, orphans, last events.
    Show(Which),
    /// Make the town's operation due now and reset its failed attempts. A running `gastown serve` claims it at its next
    /// sweep (`SWEEP_SECONDS`). Fails if no operation is in flight.
    Retry(Which),
    /// Destroy any town permanently, in any state: its machine, its volume and all data on it. A running `gastown serve`
    /// executes the operation.
    Destroy(Destruction),
}

/// The options of `gastown town destroy`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Destruction {
    #[command(flatten)]
    of: Which,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Wait until the town is destroyed, at most this long. The operation continues in any case.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

/// A town, and the format of the output.
#[derive(Debug, Clone, Copy, Args)]
pub struct Which {
    /// The town's id, or the name of its machine at Fly.
    #[arg(value_name = "TOWN", value_parser = town_id)]
    town: TownId,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn town_id(raw: &str) -> Result<TownId, &'static str> {
    match (raw.parse(), tag_of_machine_name(raw)) {
        (Ok(town), _) | (_, Some(TownTag::Whole(town))) => Ok(town),
        _ => {
            Err("must be the id of a town, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, or the name of its machine, \
                  such as town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b")
        }
    }
}

/// Runs the command.
///
/// Errors: no such town, nothing to retry, not confirmed, not destroyed in time, the database.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    let database = database::open(source).await?;
    let actor = actor(source);
    match action {
        Action::Show(of) => show(&database, of).await,
        Action::Retry(of) => retry(&database, of, &actor).await,
        Action::Destroy(Destruction { of, yes, wait }) => {
            let Some(before) = to_destroy(&database, of).await? else { return Ok(()) };
            confirm(&question(&before), before.name.as_str(), yes)?;
            destroy(&database, of, &before, &actor).await?;
            match wait {
                Some(seconds) => follow(&database, of, Duration::from_secs(seconds)).await,
                None => accepted(&database, of).await,
            }
        }
    }
}

async fn town_details(database: &Database, town: TownId) -> anyhow::Result<TownDetails> {
    let names = [machine_name(town), volume_name(town)];
    let found = database.town_details(town, &names, EVENTS).await.context("failed to read the registry")?;
    found.with_context(|| format!("no such town: {town}"))
}

async fn show(database: &Database, of: Which) -> anyhow::Result<()> {
    let found = town_details(database, of.town).await?;
    Ok(if of.json { say(json::town_details(&found)) } else { say(table::town_details(&found)) }?)
}

async fn retry(database: &Database, of: Which, actor: &str) -> anyhow::Result<()> {
    let town = of.town;
    match lost_answers::retry(database, town, actor).await.context("failed to write to the registry")? {
        Retried::Due(operation) if of.json => {
            say(json!({ "townId": town, "operation": json::operation(&operation) }))?;
        }
        Retried::Due(operation) => say(format!(
            "The {} of town {town} is due now. A running `gastown serve` continues it at its next sweep; see \
             `gastown town show {town}`.",
            operation.kind
        ))?,
        Retried::Newer(operation) => bail!(
            "the {} of town {town} is of a newer version of gastown and was left alone; use that version to retry it",
            plain(operation.kind.as_str())
        ),
        Retried::NothingInFlight => bail!("town {town} has no operation in flight, there is nothing to retry"),
        Retried::NotFound => bail!("no such town: {town}"),
    }
    Ok(())
}

/// Returns the town before its destroy. If it is destroyed already, prints that and returns `None`.
async fn to_destroy(database: &Database, of: Which) -> anyhow::Result<Option<Town>> {
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

async fn destroy(database: &Database, of: Which, town: &Town, actor: &str) -> anyhow::Result<()> {
    let operation = NewOperation {
        id: RandomIds.operation(),
        town: of.town,
        kind: OperationKind::Destroy,
        requested_by: town.owner.clone(),
        at: SystemClock.now(),
        timeout: None,
        max_in_flight: None,
        claim: None,
    };
    match lost_answers::destroy(database, database, &operation, actor)
        .await
        .context("failed to write to the registry")?
    {
        Requested::Accepted(_) | Requested::Joined(_) => Ok(()),
        Requested::Busy(other) => bail!("another operation is in flight: {}", plain(other.kind.as_str())),
        // It was destroyed since it was read.
        Requested::NotFound => Ok(()),
    }
}

async fn accepted(database: &Database, of: Which) -> anyhow::Result<()> {
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

/// Prints the progress until the town is destroyed.
async fn follow(database: &Database, of: Which, timeout: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut printed = String::new();
    loop {
        let found = town_details(database, of.town).await?;
        if is_gone(&found) {
            return ended(of, &found);
        }
        let now = match &found.operation {
            Some(Err(unreadable)) => format!("the operation cannot be read: {unreadable}"),
            Some(Ok(held)) => progress(held),
            None => "waiting for a worker".to_owned(),
        };
        if !of.json && now != printed {
            say(&now)?;
        }
        printed = now;
        if Instant::now() >= deadline {
            bail!(
                "town {} is not destroyed after {} s ({printed}); the operation continues",
                of.town,
                timeout.as_secs()
            );
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + POLL_INTERVAL)).await;
    }
}

fn progress(HeldOperation { operation, held_by, .. }: &HeldOperation) -> String {
    let kind = plain(operation.kind.as_str());
    let step = plain(operation.step.as_ref().map_or("started", Recorded::as_str));
    match (&operation.step, &operation.last_error) {
        (None, None) if held_by.is_none() => format!("{kind}: waiting for a worker"),
        (_, None) => format!("{kind}: {step}"),
        (_, Some(error)) => {
            let error = error.known().unwrap_or(Failure::Unrecognized);
            format!("{kind}: {step}, attempt {} failed: {}", operation.attempt, error.message())
        }
    }
}

fn is_gone(found: &TownDetails) -> bool {
    let town = &found.town;
    let left = town.machine_id.is_some() || town.volume_id.is_some() || found.operation.is_some();
    town.status == TownStatus::Destroyed && !left
}

fn ended(of: Which, found: &TownDetails) -> anyhow::Result<()> {
    Ok(if of.json { say(answer(found, true)) } else { say(format!("Town {} is destroyed.", of.town)) }?)
}

fn answer(found: &TownDetails, gone: bool) -> serde_json::Value {
    let operation = found.operation.as_ref().map(json::in_flight);
    json!({ "townId": found.town.id, "status": found.town.status.as_str(), "gone": gone, "operation": operation })
}
