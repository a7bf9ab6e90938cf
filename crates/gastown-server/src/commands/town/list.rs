//! `gastown town list`: lists the towns of all users.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use gastown_domain::ports::{ListedHealth, Operator as _, TownFilter};
use gastown_domain::{TownName, TownStatus, UserId};
use gastown_persistence::Database;

use crate::commands::render::{json_lists, table_lists};
use crate::commands::say::say;

/// The options of `gastown town list`.
#[derive(Debug, Clone, Args)]
pub struct ListOptions {
    /// Only the towns of this user.
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// Only towns of this name.
    #[arg(long, value_name = "NAME")]
    name: Option<TownName>,
    /// Only towns with this status: `provisioning`, `running`, `stopped` or `destroyed`. Without it, all live towns.
    #[arg(long, value_name = "STATUS")]
    status: Option<TownStatus>,
    /// Only towns with this health.
    #[arg(long, value_enum)]
    health: Option<HealthFilter>,
    /// The maximum number.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A health of towns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HealthFilter {
    /// Nothing was changed from outside, and the checks succeed.
    Ok,
    /// Machine or volume was changed or lost outside of this service.
    Drift,
    /// Checks of the sandbox fail, and the town is restarted.
    Unhealthy,
    /// Restarts did not help.
    Error,
}

impl From<HealthFilter> for ListedHealth {
    fn from(filter: HealthFilter) -> Self {
        match filter {
            HealthFilter::Ok => Self::Ok,
            HealthFilter::Drift => Self::Drift,
            HealthFilter::Unhealthy => Self::Unhealthy,
            HealthFilter::Error => Self::Error,
        }
    }
}

pub(super) async fn run(database: &Database, options: ListOptions) -> anyhow::Result<()> {
    let filter = TownFilter {
        owner: options.user,
        name: options.name,
        status: options.status,
        health: options.health.map(ListedHealth::from),
    };
    // One more shows that there are more.
    let found = database.towns(&filter, options.limit + 1).await.context("failed to read the registry")?;
    let limit = options.limit as usize;
    let has_more = found.len() > limit;
    let shown = found.get(..limit).unwrap_or(&found);
    Ok(if options.json { say(json_lists::towns(shown, has_more)) } else { say(table_lists::towns(shown, has_more)) }?)
}
