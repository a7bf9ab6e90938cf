//! `gastown migrate up|down|status`: the schema, by hand.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use migration::{MigrateError, MigrationState, at_url};
use secrecy::{ExposeSecret as _, SecretString};

use super::confirm::confirm;
use super::say::say;
use crate::settings_source::Source;

/// What to do with the schema.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Direction {
    /// Apply every migration that is missing. Safe from several replicas at once.
    Up,
    /// Undo the last migrations: what is in their tables is lost. Fails while operations are in flight or towns have
    /// machines or volumes at Fly.
    Down {
        /// How many; one where absent.
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Also where this registry knows of machines, volumes or operations. It may forget them: they cost money until
        /// somebody finds them at Fly.
        #[arg(long)]
        even_with_towns: bool,
    },
    /// Show which migrations are applied.
    Status,
}

/// Needs `DATABASE_URL` only.
pub async fn run(source: &Source, direction: Direction) -> anyhow::Result<()> {
    let url = SecretString::from(source.required("DATABASE_URL")?.to_owned());
    let url = url.expose_secret();
    let before = match direction {
        Direction::Up => match at_url::status(url).await {
            // It is made with the first migration.
            Err(MigrateError::NoSuchDatabase(_)) => Ok(Vec::new()),
            states => states,
        },
        Direction::Down { .. } | Direction::Status => at_url::status(url).await,
    };
    let before = before.context("cannot read the schema's state")?;
    let after = match direction {
        Direction::Up => at_url::up(url).await.context("cannot migrate up"),
        Direction::Down { steps, yes, even_with_towns } => {
            if !even_with_towns {
                refuse_if_in_use(url).await?;
            }
            confirm(&format!("Undo the last {steps} migrations? What is in their tables is lost."), "down", yes)?;
            at_url::down(url, Some(steps)).await.context("cannot migrate down")
        }
        Direction::Status => return Ok(say(listed(&before))?),
    };
    after?;
    let after = at_url::status(url).await.context("cannot read the schema's state")?;
    say(listed(&after))?;
    Ok(say(change(&before, &after))?)
}

/// Rows are all that is known of what was asked of Fly.
async fn refuse_if_in_use(url: &str) -> anyhow::Result<()> {
    let found = at_url::in_use(url).await.context("cannot read what is in use")?;
    if found.is_nothing() {
        return Ok(());
    }
    bail!(
        "operations in flight: {}, towns with a machine or volume at Fly: {}; this registry may forget them: destroy them \
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

/// What became of the schema; of several that migrate at once, each says what has changed since it looked.
fn change(before: &[MigrationState], after: &[MigrationState]) -> String {
    let (before, after) = (applied(before), applied(after));
    match (after.difference(&before).count(), before.difference(&after).count()) {
        (0, 0) => "Nothing was to be done.".to_owned(),
        (1, 0) => "1 migration was applied.".to_owned(),
        (up, 0) => format!("{up} migrations were applied."),
        (_, 1) => "1 migration was undone.".to_owned(),
        (_, down) => format!("{down} migrations were undone."),
    }
}

fn applied(states: &[MigrationState]) -> BTreeSet<&str> {
    states.iter().filter(|state| state.applied).map(|state| state.name.as_str()).collect()
}
