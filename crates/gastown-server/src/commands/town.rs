//! `gastown town show|retry|destroy`: one town, without surgery on the database.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use gastown_domain::ports::{
    Clock as _, HeldOperation, Ids as _, NewOperation, Operator as _, Requested, Retried, TownDetails,
};
use gastown_domain::{Failure, OperationKind, Recorded, Town, TownId, TownStatus, TownTag};
use gastown_fly::{machine_name, tag_of_machine_name, volume_name};
use gastown_persistence::Database;
use serde_json::json;
use tokio::time::Instant;

use super::actor::actor;
use super::confirm::confirm;
use super::database;
use super::lost_answers;
use super::render::{json, table};
use super::say::say;
use crate::settings_source::Source;
use crate::system_ports::{RandomIds, SystemClock};

/// How many of a town's events are shown.
const EVENTS: u32 = 20;
/// Between two looks at a removal that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What to do with a town. Each needs `DATABASE_URL` only.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Show everything that is known of a town: its row, rigs and health, what is in flight and who drives it, what of
    /// it is at Fly without a row, and what happened last.
    Show(Which),
    /// Make the town's operation due now and forget its failed attempts. A running `gastown serve` takes it up at its
    /// next sweep (`SWEEP_SECONDS`). Fails where nothing is in flight.
    Retry(Which),
    /// Destroy a town for good, whoever owns it and whatever state it is in: its machine, its volume and all that is on
    /// it. A running `gastown serve` carries it out.
    Destroy(Destruction),
}

/// What `gastown town destroy` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Destruction {
    #[command(flatten)]
    of: Which,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Follow it until nothing of the town is left, at most so long. It goes on without you, too.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

/// Which town, and how to answer.
#[derive(Debug, Clone, Copy, Args)]
pub struct Which {
    /// The town's id, or its machine's name at Fly.
    #[arg(value_name = "TOWN", value_parser = town_id)]
    town: TownId,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

fn town_id(raw: &str) -> Result<TownId, &'static str> {
    match (raw.parse(), tag_of_machine_name(raw)) {
        (Ok(town), _) | (_, Some(TownTag::Whole(town))) => Ok(town),
        _ => Err("must be the id of a town, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, or its machine's name, \
                  such as town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b"),
    }
}

/// Carries it out.
///
/// Errors: no such town, nothing to retry, not confirmed, not gone in time, the database's.
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
    let found = database.town_details(town, &names, EVENTS).await.context("cannot read the registry")?;
    found.with_context(|| format!("no such town: {town}"))
}

async fn show(database: &Database, of: Which) -> anyhow::Result<()> {
    let found = town_details(database, of.town).await?;
    Ok(if of.json { say(json::town_details(&found)) } else { say(table::town_details(&found)) }?)
}

async fn retry(database: &Database, of: Which, actor: &str) -> anyhow::Result<()> {
    let town = of.town;
    match lost_answers::retry(database, town, actor).await.context("cannot write to the registry")? {
        Retried::Due(operation) if of.json => {
            say(json!({ "townId": town, "operation": json::operation(&operation) }))?;
        }
        Retried::Due(operation) => say(format!(
            "The {} of town {town} is due now. A running `gastown serve` goes on with it at its next sweep; see \
             `gastown town show {town}`.",
            operation.kind
        ))?,
        Retried::NothingInFlight => bail!("nothing is in flight on town {town}: there is nothing to retry"),
        Retried::NotFound => bail!("no such town: {town}"),
    }
    Ok(())
}

/// The town as it is before its destroy; none where nothing of it is left, which is said.
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
        Some(volume) => format!("Its volume {volume} and everything on it will be gone for good."),
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
    };
    match lost_answers::destroy(database, database, &operation, actor).await.context("cannot write to the registry")? {
        Requested::Accepted(_) | Requested::Joined(_) => Ok(()),
        Requested::Busy(other) => bail!("another operation is in flight: {}", other.kind),
        // Between the look and now its removal came to its end.
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
            "Town {town} is being destroyed. A running `gastown serve` carries it out; see `gastown town show {town}`."
        ))
    }?)
}

/// Shows what happens until nothing of the town is left.
async fn follow(database: &Database, of: Which, patience: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut told = String::new();
    loop {
        let found = town_details(database, of.town).await?;
        if is_gone(&found) {
            return ended(of, &found);
        }
        let now = match &found.operation {
            Some(Err(unreadable)) => format!("its operation cannot be read: {unreadable}"),
            Some(Ok(held)) => progress(held),
            None => "waiting for a process to take it up again".to_owned(),
        };
        if !of.json && now != told {
            say(&now)?;
        }
        told = now;
        if Instant::now() >= deadline {
            bail!("town {} is not gone after {} seconds ({told}); it goes on", of.town, patience.as_secs());
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
}

fn progress(HeldOperation { operation, held_by, .. }: &HeldOperation) -> String {
    let kind = operation.kind;
    match (&operation.step, &operation.last_error) {
        (None, None) if held_by.is_none() => format!("{kind}: waiting for a process to take it up"),
        (step, None) => format!("{kind}: {}", step.as_ref().map_or("begun", Recorded::as_str)),
        (step, Some(error)) => {
            let step = step.as_ref().map_or("begun", Recorded::as_str);
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
    Ok(if of.json {
        say(answer(found, true))
    } else {
        say(format!("Town {} is destroyed; nothing of it is left.", of.town))
    }?)
}

fn answer(found: &TownDetails, gone: bool) -> serde_json::Value {
    let operation = found.operation.as_ref().map(json::in_flight);
    json!({ "townId": found.town.id, "status": found.town.status.as_str(), "gone": gone, "operation": operation })
}
