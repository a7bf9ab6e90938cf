//! `gastown operations`: lists the operations in flight, those that need attention, and those that failed.

use anyhow::Context as _;
use clap::Args;
use gastown_domain::ports::{AuditedEvent, Clock as _, EventFilter, Operator as _, SingletonJobs as _};
use gastown_persistence::Database;
use gastown_system::SystemClock;

use super::database;
use super::render::{OperationsList, json, needs_attention, table};
use super::say::say;
use super::since::Since;
use crate::settings_source::Source;

/// The options of `gastown operations`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Only operations that failed many times in a row, and those that cannot be read.
    #[arg(long, conflicts_with = "failed")]
    attention: bool,
    /// Only operations that have ended and failed.
    #[arg(long)]
    failed: bool,
    /// The earliest end of failed operations: an age such as `24h` or `7d`, or a time.
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    since: Since,
    /// The maximum number of each list. Operations with the most failed attempts come first.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    limit: u32,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown operations --attention
  gastown operations --failed --since 7d";

/// Runs the command. It needs only `DATABASE_URL`.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let database = database::open(source).await?;
    let mut in_flight = database.operations(options.limit).await.context("failed to read the registry")?;
    let all_in_flight = in_flight.len();
    // An operation that cannot be read makes no progress until an operator acts.
    in_flight.retain(|held| !options.attention || held.as_ref().map_or(true, |held| needs_attention(&held.operation)));
    let failed = if options.attention { Vec::new() } else { failures(&database, options).await? };
    let jobs = database.states().await.context("failed to read the registry")?;
    let list = OperationsList {
        in_flight: (!options.failed).then_some(in_flight),
        all_in_flight,
        only_attention: options.attention,
        failed: (!options.attention).then_some((failed, options.since)),
        jobs,
    };
    Ok(if options.json { say(json::operations(&list)) } else { say(table::operations(&list)) }?)
}

/// Returns the ends of failed operations, newest first.
async fn failures(database: &Database, options: Options) -> anyhow::Result<Vec<AuditedEvent>> {
    let since = Some(options.since.before(SystemClock.now()));
    let filter = EventFilter { failed: true, since, ..EventFilter::default() };
    database.audit(&filter, options.limit).await.context("failed to read the registry")
}
