//! `gastown town`: lists towns, and operates on one of them, without edits of the database.

mod create;
mod destroy;
mod follow;
mod list;
mod power;
mod restore;
mod watch;

use clap::{Args, Subcommand};
use gastown_domain::TownId;

pub use create::Creation;
pub use destroy::Destruction;
pub use list::{HealthFilter, KeyFilter, ListOptions};
pub use power::PowerOptions;
pub use restore::Restoration;
pub use watch::Watching;

use super::actor::actor;
use super::at_server::OperatorServer;
use super::database;
use super::exit::CodedError;
use super::render::table;
use super::say::{say, say_json};
use super::town_ref::TownRef;
use crate::config::operation_timeouts;
use crate::operator_access::{InDatabase, OperatorAccess, TownRequest};
use crate::settings_source::Source;

/// The subcommands of `gastown town`. Each needs only `DATABASE_URL`, or at a server only a token.
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
  GASTOWN_OPERATOR_TOKEN=… gastown town list --server https://console.example.com
  gastown town list --json | jq -r '.towns[].townId'";

/// A town, its place, and the format of the output.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The town's id, the name of its machine at Fly, or USER/NAME for a live town.
    #[arg(value_name = "TOWN")]
    town: TownRef,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
}

/// A town that was found by its reference.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    town: TownId,
    json: bool,
}

impl Which {
    async fn chosen(&self, access: &dyn OperatorAccess) -> anyhow::Result<Chosen> {
        Ok(Chosen { town: self.town.resolve(access).await?, json: self.json })
    }

    /// Returns the access for requests, which in the database have the time limits of the settings.
    async fn access(&self, source: &Source) -> anyhow::Result<Box<dyn OperatorAccess>> {
        if let Some(server) = self.at.remote(source)? {
            return Ok(Box::new(server));
        }
        let (database, timeouts) = (database::open(source).await?, operation_timeouts(source)?);
        Ok(Box::new(InDatabase::new(database, actor(source)).with_timeouts(timeouts)))
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
/// Errors: no such town, nothing to retry, not confirmed, not ended in time, the database, the server.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Create(options) => create::run(source, options, &actor(source)).await,
        Action::Watch(options) => watch::run(source, options).await,
        Action::List(options) => list::run(source, options).await,
        Action::Show(of) => show(source, &of).await,
        Action::Start(options) => switch(source, TownRequest::Start, &options).await,
        Action::Stop(options) => switch(source, TownRequest::Stop, &options).await,
        Action::Restore(options) => restore::run(&*options.power.of.access(source).await?, options).await,
        Action::Retry(of) => retry(source, &of).await,
        Action::Destroy(options) => destroy::run(&*options.of.at.access(source).await?, options).await,
    }
}

async fn switch(source: &Source, request: TownRequest, options: &PowerOptions) -> anyhow::Result<()> {
    let access = options.of.access(source).await?;
    let of = options.of.chosen(&*access).await?;
    power::run(&*access, of, request, options.wait).await
}

async fn show(source: &Source, of: &Which) -> anyhow::Result<()> {
    let access = of.at.access(source).await?;
    let report = access.town(of.town.resolve(&*access).await?).await?;
    if of.json { say_json(&report) } else { Ok(say(table::town_report(&report))?) }
}

async fn retry(source: &Source, of: &Which) -> anyhow::Result<()> {
    let access = of.at.access(source).await?;
    let retry = access.retry(of.town.resolve(&*access).await?).await?;
    if of.json {
        return say_json(&retry);
    }
    let (town, kind) = (retry.town_id, table::plain(&retry.operation.kind));
    Ok(say(format!(
        "The {kind} of town {town} is due now. A running `gastown serve` continues it at its next sweep; see \
         `gastown town show {town}`."
    ))?)
}
