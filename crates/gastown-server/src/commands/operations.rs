//! `gastown operations`: lists the operations in flight, those that need attention, and those that failed.

use clap::Args;
use gastown_domain::ports::Clock as _;
use gastown_system::SystemClock;

use super::at_server::OperatorServer;
use super::render::{OperationsView, table};
use super::say::{say, say_json};
use super::since::Since;
use crate::operator_access::WhichOperations;
use crate::settings_source::Source;

/// The options of `gastown operations`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    at: OperatorServer,
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
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown operations --attention
  gastown operations --failed --since 7d
  GASTOWN_OPERATOR_TOKEN=… gastown operations --server https://console.example.com";

/// Runs the command. It needs only `DATABASE_URL`, or at a server only an operator's token.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let which = match (options.attention, options.failed) {
        (true, _) => WhichOperations::Attention,
        (false, true) => WhichOperations::Failed,
        (false, false) => WhichOperations::All,
    };
    let since = options.since;
    let access = options.at.access(source).await?;
    let list = access.operations(which, since.before(SystemClock.now()), options.limit).await?;
    if options.json {
        return say_json(&list);
    }
    Ok(say(table::operations(&OperationsView { list, which, since }))?)
}
