//! `gastown operations`: lists the operations in flight, and those that need attention.

use anyhow::Context as _;
use clap::Args;
use gastown_domain::ports::{Operator as _, SingletonJobs as _};

use super::database;
use super::render::{json, needs_attention, table};
use super::say::say;
use crate::settings_source::Source;

/// The options of `gastown operations`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Only operations that failed many times in a row, and those that cannot be read.
    #[arg(long)]
    attention: bool,
    /// The maximum number. Operations with the most failed attempts come first.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    limit: u32,
}

/// Runs the command. It needs only `DATABASE_URL`.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let database = database::open(source).await?;
    let mut operations = database.operations(options.limit).await.context("failed to read the registry")?;
    // An operation that cannot be read makes no progress until an operator acts.
    operations.retain(|held| !options.attention || held.as_ref().map_or(true, |held| needs_attention(&held.operation)));
    let jobs = database.states().await.context("failed to read the registry")?;
    Ok(if options.json {
        say(json::operations(&operations, &jobs))
    } else {
        say(table::operations(&operations, &jobs))
    }?)
}
