//! `gastown events` and `gastown audit`: list the events of one town, or of all towns.

use clap::Args;
use gastown_domain::UserId;
use gastown_domain::ports::{Clock as _, EventFilter};
use gastown_system::SystemClock;

use super::at_server::OperatorServer;
use super::render::table_lists;
use super::say::{say, say_json};
use super::since::Since;
use super::town_ref::TownRef;
use crate::operator_access::OperatorAccess;
use crate::settings_source::Source;

/// The options of `gastown events`.
#[derive(Debug, Clone, Args)]
pub struct EventsOptions {
    /// The town's id, the name of its machine at Fly, or USER/NAME for a live town.
    #[arg(value_name = "TOWN")]
    town: TownRef,
    #[command(flatten)]
    which: Selection,
}

/// The options of `gastown audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditOptions {
    /// Only events of this user's towns.
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    #[command(flatten)]
    which: Selection,
}

/// The conditions of both lists.
#[derive(Debug, Clone, Args)]
struct Selection {
    /// Only what this actor did, such as `operator:eve` or the id of a user.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this action, such as `stop` or `drift`.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only operations that failed.
    #[arg(long)]
    failed: bool,
    /// The earliest time: an age such as `24h` or `7d`, or a time such as `2026-11-23T08:50:00Z`.
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// The maximum number. The newest events come first.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
}

/// Examples for the help of `gastown events`.
pub const EVENTS_EXAMPLES: &str = "\
Examples:
  gastown events alice/mill
  gastown events alice/mill --action stop --failed";

/// Examples for the help of `gastown audit`.
pub const AUDIT_EXAMPLES: &str = "\
Examples:
  gastown audit --since 24h
  gastown audit --actor operator:eve --json";

/// Runs `gastown events`. It needs only `DATABASE_URL`, or at a server only an operator's token.
pub async fn run(source: &Source, options: EventsOptions) -> anyhow::Result<()> {
    let access = options.which.at.access(source).await?;
    let town = options.town.resolve(&*access).await?;
    // A town without events is known too.
    access.town(town).await?;
    show(&*access, EventFilter { town: Some(town), ..EventFilter::default() }, options.which).await
}

/// Runs `gastown audit`. It needs only `DATABASE_URL`, or at a server only an operator's token.
pub async fn audit(source: &Source, options: AuditOptions) -> anyhow::Result<()> {
    let access = options.which.at.access(source).await?;
    show(&*access, EventFilter { owner: options.user, ..EventFilter::default() }, options.which).await
}

async fn show(access: &dyn OperatorAccess, of: EventFilter, which: Selection) -> anyhow::Result<()> {
    let Selection { actor, action, failed, since, limit, json, at: _ } = which;
    let since = since.map(|since| since.before(SystemClock.now()));
    let filter = EventFilter { actor, action, failed, since, ..of };
    let list = access.events(&filter, limit).await?;
    if json { say_json(&list) } else { Ok(say(table_lists::events(&list))?) }
}
