//! `gastown orphans`: lists machines and volumes at Fly with our names or metadata but without a row, and deletes them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::{NoMetrics, WorkerId};
use gastown_orchestrator::{Env, FoundOrphan, Grace, OrphanPorts, OrphanSweeper, Survey, Verdict};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock, ThreadJitter};

use super::actor::actor;
use super::confirm::confirm;
use super::database;
use super::deletion::Deletion;
use super::render::{json, table};
use super::say::say;
use crate::config::OrphansConfig;
use crate::settings_source::Source;

/// The options of `gastown orphans`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these, by their ids at Fly. A second machine of a live town is deleted only if its id is given.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Delete the orphans that may be deleted. Each is checked again before its deletion. A volume can be deleted only after
    /// its machine, which may need a second run.
    #[arg(long)]
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
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown orphans
  gastown orphans --delete 148ed21a031189 --grace 0";

/// Runs the command. It needs `DATABASE_URL` and the settings that begin with `FLY_`, except regions and image.
///
/// Errors: settings, database, Fly, an id that is not an orphan's, not confirmed, a failed deletion.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let config = OrphansConfig::read(source)?;
    let database = database::open(source).await?;
    let grace = match options.grace {
        Some(seconds) => Grace { time: Duration::from_secs(seconds), ..Grace::NONE },
        None => Grace::from(&config.policy.orphans),
    };
    let sweeper = sweeper(config, database)?;
    let mut survey = sweeper.survey(grace).await?;
    retain_ids(&mut survey, &options.ids)?;
    if !options.delete {
        return Ok(if options.json { say(json::survey(&survey, &[])) } else { say(table::survey(&survey)) }?);
    }
    if !options.json {
        say(table::survey(&survey))?;
    }
    let deletable = deletable(&survey, &options.ids)?;
    if !deletable.is_empty() {
        confirm(&question(&deletable), "delete", options.yes)?;
    }
    let deletions = delete(&sweeper, &deletable, &actor(source)).await;
    say(if options.json { json::survey(&survey, &deletions).to_string() } else { table::deletions(&deletions) })?;
    match deletions.iter().filter(|deletion| deletion.result.is_err()).count() {
        0 => Ok(()),
        failed => bail!("{failed} deletions failed"),
    }
}

fn sweeper(config: OrphansConfig, database: Database) -> anyhow::Result<OrphanSweeper> {
    let database = Arc::new(database);
    let fly = Arc::new(config.fly.settings().adapter(config.policy.timeouts.lease)?);
    let ports = OrphanPorts {
        orphans: database.clone(),
        jobs: database,
        inventory: fly.clone(),
        machines: fly.clone(),
        volumes: fly,
        env: Env {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            jitter: Arc::new(ThreadJitter),
            metrics: Arc::new(NoMetrics),
        },
    };
    // The command runs no periodic job, so this name claims nothing.
    Ok(OrphanSweeper::with(ports, config.policy, WorkerId("gastown orphans".to_owned())))
}

/// Keeps only the orphans with these ids. Without ids all are kept.
fn retain_ids(survey: &mut Survey, ids: &[String]) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let id_of = |orphan: &FoundOrphan| orphan.sighting.item.resource.id().to_owned();
    let known: Vec<_> = survey.orphans.iter().map(id_of).collect();
    let unknown: Vec<_> = ids.iter().filter(|id| !known.contains(id)).map(String::as_str).collect();
    if !unknown.is_empty() {
        bail!("not at Fly, or not an orphan: {}", unknown.join(", "));
    }
    survey.orphans.retain(|orphan| ids.contains(&id_of(orphan)));
    survey.unseen.clear();
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
    let may_go = |orphan: &&FoundOrphan| match orphan.verdict {
        Verdict::Deletable => true,
        Verdict::NeedsOperator => !ids.is_empty(),
        _ => false,
    };
    Ok(survey.orphans.iter().filter(may_go).collect())
}

fn question(orphans: &[&FoundOrphan]) -> String {
    let names: Vec<_> = orphans.iter().map(|orphan| orphan.sighting.item.resource.to_string()).collect();
    format!("Delete {}? The data on volumes is lost permanently.", names.join(", "))
}

async fn delete<'a>(sweeper: &OrphanSweeper, orphans: &[&'a FoundOrphan], actor: &str) -> Vec<Deletion<'a>> {
    let mut deletions = Vec::new();
    for orphan in orphans {
        let result = sweeper.delete(&orphan.sighting, actor).await.context("deletion failed");
        deletions.push(Deletion { orphan, result: result.map_err(|error| format!("{error:#}")) });
    }
    deletions
}
