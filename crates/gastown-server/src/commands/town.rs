//! `gastown town`: lists towns, and operates on one of them, without edits of the database.

mod create;
mod destroy;
mod follow;
mod list;
mod power;
mod restore;
mod watch;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use gastown_domain::ports::{Clock as _, Ids as _, NewOperation, Operator as _, Retried, TownDetails};
use gastown_domain::{OperationKind, Town, TownId};
use gastown_fly::{machine_name, volume_name};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock};
use serde_json::json;

pub use create::Creation;
pub use destroy::Destruction;
pub use list::{HealthFilter, KeyFilter, ListOptions};
pub use power::PowerOptions;
pub use restore::Restoration;
pub use watch::Watching;

use self::power::Power;
use super::actor::actor;
use super::database;
use super::exit::CodedError;
use super::lost_answers;
use super::render::table::plain;
use super::render::{json, table};
use super::say::say;
use super::town_ref::TownRef;
use crate::config::operation_timeouts;
use crate::settings_source::Source;

/// The number of events that are shown.
const EVENTS: u32 = 20;

/// The subcommands of `gastown town`. Each needs only `DATABASE_URL`, or at a server only a user's token.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// List the towns of all users, with status, health and operation in flight.
    #[command(after_help = LIST_EXAMPLES)]
    List(ListOptions),
    /// Create a town. A running `gastown serve` executes the operation.
    #[command(after_help = create::EXAMPLES)]
    Create(Creation),
    /// Show each change of a town: status, health, steps of the operation in flight.
    #[command(after_help = watch::EXAMPLES)]
    Watch(Watching),
    /// Show everything about a town: row, rigs, health, the operation in flight and its worker, orphans, last events.
    #[command(after_help = "Example:\n  gastown town show alice/mill")]
    Show(Which),
    /// Start a town. A running `gastown serve` executes the operation.
    #[command(after_help = "Example:\n  gastown town start alice/mill --wait 180")]
    Start(PowerOptions),
    /// Stop a town, after a last sync. A running `gastown serve` executes the operation.
    #[command(after_help = "Example:\n  gastown town stop alice/mill --wait 180")]
    Stop(PowerOptions),
    /// Restore a town whose volume is lost: a new volume and machine, with the data that was last saved to R2. Ask its owner
    /// first, because later changes are lost. A running `gastown serve` executes the operation.
    #[command(after_help = "Example:\n  gastown town restore alice/mill --wait 1800")]
    Restore(Restoration),
    /// Make the town's operation due now and reset its failed attempts. A running `gastown serve` claims it at its next
    /// sweep (`SWEEP_SECONDS`). Fails if no operation is in flight.
    #[command(after_help = "Example:\n  gastown town retry alice/mill")]
    Retry(Which),
    /// Destroy any town permanently, in any state: its machine, its volume and all data on it. A running `gastown serve`
    /// executes the operation.
    #[command(after_help = "Example:\n  gastown town destroy alice/mill --wait 300")]
    Destroy(Destruction),
}

const LIST_EXAMPLES: &str = "\
Examples:
  gastown town list --user alice
  gastown town list --status running --health drift
  gastown town list --key old
  gastown town list --json | jq -r '.towns[].townId'";

/// A town, and the format of the output.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The town's id, the name of its machine at Fly, or USER/NAME for a live town.
    #[arg(value_name = "TOWN")]
    town: TownRef,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A town that was found by its reference.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    town: TownId,
    json: bool,
}

impl Which {
    async fn chosen(&self, database: &Database) -> anyhow::Result<Chosen> {
        Ok(Chosen { town: self.town.resolve(database).await?, json: self.json })
    }
}

impl Chosen {
    /// Returns the error of an operation that takes longer than `--wait`.
    fn not_in_time(self, goal: &str, seconds: u64, state: &str) -> anyhow::Error {
        let town = self.town;
        let text = format!("town {town} is not {goal} after {seconds} s ({state}); the operation continues");
        CodedError::NotInTime(text).into()
    }
}

/// Runs the command.
///
/// Errors: no such town, nothing to retry, not confirmed, not ended in time, the database.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    let actor = actor(source);
    let open = || database::open(source);
    match action {
        Action::Create(options) => create::run(source, options, &actor).await,
        Action::Watch(options) => watch::run(source, options).await,
        Action::List(options) => list::run(source, &open().await?, options).await,
        Action::Show(of) => {
            let database = open().await?;
            show(&database, of.chosen(&database).await?).await
        }
        Action::Start(options) => switch(source, &open().await?, Power::Start, &options, &actor).await,
        Action::Stop(options) => switch(source, &open().await?, Power::Stop, &options, &actor).await,
        Action::Restore(options) => {
            let (database, timeouts) = (open().await?, operation_timeouts(source)?);
            let of = options.power.of.chosen(&database).await?;
            restore::run(&database, of, options, (&actor, &timeouts)).await
        }
        Action::Retry(of) => {
            let database = open().await?;
            retry(&database, of.chosen(&database).await?, &actor).await
        }
        Action::Destroy(options) => {
            let database = open().await?;
            destroy::run(&database, options.of.chosen(&database).await?, options, &actor).await
        }
    }
}

async fn switch(
    source: &Source,
    database: &Database,
    power: Power,
    options: &PowerOptions,
    actor: &str,
) -> anyhow::Result<()> {
    let timeouts = operation_timeouts(source)?;
    power::run(database, options.of.chosen(database).await?, power, options.wait, (actor, &timeouts)).await
}

/// Fails if there is no such town, live or destroyed.
pub(super) async fn require(database: &Database, town: TownId) -> anyhow::Result<()> {
    town_details(database, town).await.map(|_| ())
}

async fn town_details(database: &Database, town: TownId) -> anyhow::Result<TownDetails> {
    let names = [machine_name(town), volume_name(town)];
    let found = database.town_details(town, &names, EVENTS).await.context("failed to read the registry")?;
    found.ok_or_else(|| CodedError::NoSuchTown(town.to_string()).into())
}

/// Returns an operation on a town that an operator requests for its owner.
pub(crate) fn new_operation(town: &Town, kind: OperationKind, timeout: Option<Duration>) -> NewOperation {
    NewOperation {
        id: RandomIds.operation(),
        town: town.id,
        kind,
        requested_by: town.owner.clone(),
        at: SystemClock.now(),
        timeout,
        max_in_flight: None,
        claim: None,
    }
}

async fn show(database: &Database, of: Chosen) -> anyhow::Result<()> {
    let found = town_details(database, of.town).await?;
    Ok(if of.json { say(json::town_details(&found)) } else { say(table::town_details(&found)) }?)
}

async fn retry(database: &Database, of: Chosen, actor: &str) -> anyhow::Result<()> {
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
        Retried::NotFound => return Err(CodedError::NoSuchTown(town.to_string()).into()),
    }
    Ok(())
}
