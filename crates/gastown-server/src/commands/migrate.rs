//! `gastown migrate up|down|status`: the schema, by hand.

use anyhow::Context as _;
use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings_source::Source;

/// What to do with the schema.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Direction {
    /// Apply every migration that is missing. Safe from several replicas at once.
    Up,
    /// Undo the last migrations.
    Down {
        /// How many; one where absent.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Show which migrations are applied.
    Status,
}

/// Needs `DATABASE_URL` only.
#[expect(clippy::print_stdout, reason = "the command's answer")]
pub async fn run(source: &Source, direction: Direction) -> anyhow::Result<()> {
    let url = source.get("DATABASE_URL").context("DATABASE_URL is missing")?;
    let url = SecretString::from(url.to_owned());
    let url = url.expose_secret();
    match direction {
        Direction::Up => migration::at_url::up(url).await.context("cannot migrate up")?,
        Direction::Down { steps } => migration::at_url::down(url, Some(steps)).await.context("cannot migrate down")?,
        Direction::Status => {}
    }
    for state in migration::at_url::status(url).await.context("cannot read the schema's state")? {
        println!("{:<8} {}", if state.applied { "applied" } else { "pending" }, state.name);
    }
    Ok(())
}
