//! `gastown operations`: what is in flight, and whether anything needs somebody.

use anyhow::Context as _;
use clap::Args;
use gastown_domain::ports::{Operator as _, SingletonJobs as _};

use super::database;
use super::render::{json, needs_attention, table};
use super::say::say;
use crate::settings_source::Source;

/// What `gastown operations` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
    /// Only those that failed many times in a row and go on slowly, and those that cannot be read.
    #[arg(long)]
    attention: bool,
    /// How many at most; those with most failed attempts come first.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    limit: u32,
}

/// Needs `DATABASE_URL` only.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let database = database::open(source).await?;
    let mut operations = database.operations(options.limit).await.context("cannot read the registry")?;
    // What cannot be read stands still until somebody sees to it.
    operations.retain(|held| !options.attention || held.as_ref().map_or(true, |held| needs_attention(&held.operation)));
    let passes = database.states().await.context("cannot read the registry")?;
    Ok(if options.json {
        say(json::operations(&operations, &passes))
    } else {
        say(table::operations(&operations, &passes))
    }?)
}
