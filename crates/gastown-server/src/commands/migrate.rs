//! `gastown migrate up|down|status`: migrates the schema.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use migration::{MigrateError, MigrationState, at_url};
use secrecy::ExposeSecret as _;

use super::confirm::confirm;
use super::say::say;
use crate::config::required_database_url;
use crate::settings_source::Source;

/// The subcommands of `gastown migrate`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Direction {
    /// Apply every pending migration. Safe from several replicas at once.
    #[command(after_help = "Example:\n  gastown migrate up")]
    Up,
    /// Undo the last migrations. The data in their tables is lost. Fails while operations are in flight or towns have
    /// machines or volumes at Fly.
    #[command(after_help = "Example:\n  gastown migrate down --steps 2")]
    Down {
        /// The number of migrations.
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
        /// Continue although the registry contains machines, volumes or operations. They may be lost from the registry and
        /// cost money until they are found at Fly.
        #[arg(long)]
        even_with_towns: bool,
    },
    /// Show which migrations are applied.
    #[command(after_help = "Example:\n  gastown migrate status")]
    Status,
}

/// Runs the command. It needs only `DATABASE_URL`.
pub async fn run(source: &Source, direction: Direction) -> anyhow::Result<()> {
    let url = required_database_url(source)?;
    let url = url.expose_secret();
    let before = match direction {
        Direction::Up => match at_url::status(url).await {
            // The first migration creates it.
            Err(MigrateError::NoSuchDatabase(_)) => Ok(Vec::new()),
            states => states,
        },
        Direction::Down { .. } | Direction::Status => at_url::status(url).await,
    };
    let before = before.context("failed to read the state of the schema")?;
    let after = match direction {
        Direction::Up => at_url::up(url).await.context("failed to migrate up"),
        Direction::Down { steps, yes, even_with_towns } => {
            if !even_with_towns {
                refuse_if_in_use(url).await?;
            }
            confirm(&format!("Undo the last {steps} migrations? The data in their tables is lost."), "down", yes)?;
            at_url::down(url, Some(steps)).await.context("failed to migrate down")
        }
        Direction::Status => return Ok(say(listed(&before))?),
    };
    after?;
    let after = at_url::status(url).await.context("failed to read the state of the schema")?;
    say(listed(&after))?;
    Ok(say(change(&before, &after))?)
}

/// Fails if the registry is in use, because only its rows record the resources at Fly.
async fn refuse_if_in_use(url: &str) -> anyhow::Result<()> {
    let found = at_url::in_use(url).await.context("failed to read the rows in use")?;
    if found.is_nothing() {
        return Ok(());
    }
    bail!(
        "operations in flight: {}, towns with a machine or volume at Fly: {}; the registry may lose them: destroy them \
         first, or add --even-with-towns",
        found.operations,
        found.towns
    )
}

fn listed(states: &[MigrationState]) -> String {
    let line =
        |state: &MigrationState| format!("{:<8} {}", if state.applied { "applied" } else { "pending" }, state.name);
    states.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Describes the change of the schema. Concurrent migrations each report the whole change since their start.
fn change(before: &[MigrationState], after: &[MigrationState]) -> String {
    let (before, after) = (applied(before), applied(after));
    match (after.difference(&before).count(), before.difference(&after).count()) {
        (0, 0) => "The schema is up to date.".to_owned(),
        (1, 0) => "1 migration was applied.".to_owned(),
        (up, 0) => format!("{up} migrations were applied."),
        (_, 1) => "1 migration was undone.".to_owned(),
        (_, down) => format!("{down} migrations were undone."),
    }
}

fn applied(states: &[MigrationState]) -> BTreeSet<&str> {
    states.iter().filter(|state| state.applied).map(|state| state.name.as_str()).collect()
}
