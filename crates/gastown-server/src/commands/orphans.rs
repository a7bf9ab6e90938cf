//! `gastown orphans`: lists machines and volumes at Fly with our names or metadata but without a row, and deletes them.

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_orchestrator::{FoundOrphan, OrphanSweeper, Survey, Verdict};
use gastown_persistence::Database;

use super::actor::actor;
use super::at_server::OperatorServer;
use super::confirm::confirm;
use super::database;
use super::render::table;
use super::say::{say, say_json};
use crate::config::OrphansConfig;
use crate::operator_access::{grace, orphan_sweeper};
use crate::reports::{self, Deletion};
use crate::settings_source::Source;

/// The options of `gastown orphans`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these, by their ids at Fly. A second machine of a live town is deleted only if its id is given.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Delete the orphans that may be deleted. Each is checked again before its deletion. A volume can be deleted only after
    /// its machine, which may need a second run.
    #[arg(long, conflicts_with = "server")]
    delete: bool,
    /// Override `ORPHAN_GRACE_SECONDS`, and do not require three runs. 0 deletes at once. Default: both apply.
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown orphans
  gastown orphans --delete 148ed21a031189 --grace 0";

/// Runs the command. It needs `DATABASE_URL` and the settings that begin with `FLY_`, except regions and image. At a server it
/// needs only an operator's token.
///
/// Errors: settings, database, Fly, the server, an id that is not an orphan's, not confirmed, a failed deletion.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    if let Some(server) = options.at.remote(source)? {
        let mut report = server.orphans(options.grace).await?;
        retain_ids(&mut report, &options.ids)?;
        return show(&report, options.json);
    }
    let config = OrphansConfig::read(source)?;
    let database = database::open(source).await?;
    let grace = grace(options.grace, &config.policy);
    let sweeper = sweeper(config, database)?;
    let survey = sweeper.survey(grace).await?;
    let mut report = reports::Survey::from(&survey);
    retain_ids(&mut report, &options.ids)?;
    if !options.delete {
        return show(&report, options.json);
    }
    if !options.json {
        say(table::survey(&report))?;
    }
    let deletable = deletable(&survey, &options.ids)?;
    if !deletable.is_empty() {
        confirm(&question(&deletable), "delete", options.yes)?;
    }
    report.removals = delete(&sweeper, &deletable, &actor(source)).await;
    if options.json {
        say_json(&report)?;
    } else {
        say(table::deletions(&report.removals))?;
    }
    match report.removals.iter().filter(|deletion| deletion.is_failed()).count() {
        0 => Ok(()),
        failed => bail!("{failed} deletions failed"),
    }
}

fn show(report: &reports::Survey, json: bool) -> anyhow::Result<()> {
    if json { say_json(report) } else { Ok(say(table::survey(report))?) }
}

fn sweeper(config: OrphansConfig, database: Database) -> anyhow::Result<OrphanSweeper> {
    let fly = config.fly.settings().adapter(config.policy.timeouts.lease)?;
    Ok(orphan_sweeper(database, fly, config.policy))
}

/// Keeps only the orphans with these ids. Without ids all are kept.
fn retain_ids(report: &mut reports::Survey, ids: &[String]) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let is_known = |id: &&String| report.orphans.iter().any(|orphan| orphan.id == **id);
    let unknown: Vec<_> = ids.iter().filter(|id| !is_known(id)).map(String::as_str).collect();
    if !unknown.is_empty() {
        bail!("not at Fly, or not an orphan: {}", unknown.join(", "));
    }
    report.orphans.retain(|orphan| ids.contains(&orphan.id));
    report.unseen.clear();
    Ok(())
}

/// Returns the orphans that may be deleted, machines first.
fn deletable<'a>(survey: &'a Survey, ids: &[String]) -> anyhow::Result<Vec<&'a FoundOrphan>> {
    if survey.alarm.is_some() && ids.is_empty() {
        bail!(
            "too many resources at Fly have no row, so a misconfiguration is likely: check that DATABASE_URL is the right \
             database, and up to date. Nothing was deleted. To delete a certain orphan, give its id"
        );
    }
    let is_named = |orphan: &FoundOrphan| ids.iter().any(|id| *id == orphan.sighting.item.resource.id());
    let may_go = |orphan: &&FoundOrphan| match orphan.verdict {
        Verdict::Deletable => ids.is_empty() || is_named(orphan),
        Verdict::NeedsOperator => is_named(orphan),
        _ => false,
    };
    Ok(survey.orphans.iter().filter(may_go).collect())
}

fn question(orphans: &[&FoundOrphan]) -> String {
    let names: Vec<_> = orphans.iter().map(|orphan| orphan.sighting.item.resource.to_string()).collect();
    format!("Delete {}? The data on volumes is lost permanently.", names.join(", "))
}

async fn delete(sweeper: &OrphanSweeper, orphans: &[&FoundOrphan], actor: &str) -> Vec<Deletion> {
    let mut deletions = Vec::new();
    for orphan in orphans {
        let result = sweeper.delete(&orphan.sighting, actor).await.context("deletion failed");
        let result = result.map_err(|error| format!("{error:#}"));
        deletions.push(Deletion::of(&orphan.sighting.item.resource, result.as_ref().map_err(String::as_str)));
    }
    deletions
}
