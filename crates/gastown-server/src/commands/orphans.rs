//! `gastown orphans`: what is at Fly with our names or metadata and no row accounts for, and its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::WorkerId;
use gastown_orchestrator::{Env, FoundOrphan, Grace, OrphanPorts, OrphanSweeper, Removal, Survey, Verdict};
use gastown_persistence::Database;

use super::actor::actor;
use super::confirm::confirm;
use super::database;
use super::render::{json, table};
use super::say::say;
use crate::config::OrphansConfig;
use crate::control_plane::{fly, pacing};
use crate::settings_source::Source;
use crate::system_ports::{RandomIds, SystemClock, ThreadJitter};

/// What `gastown orphans` takes.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these, by their ids at Fly. A second machine of a living town is deleted only where it is named.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Delete what may be deleted. Each is looked at once more before it goes; a volume goes after the machine that holds
    /// it, so that it may take a second run.
    #[arg(long)]
    delete: bool,
    /// Overrides `ORPHAN_GRACE_SECONDS` and drops the demand for three passes; 0 deletes at once. Default: both apply.
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

/// What became of an orphan that was to be deleted.
pub(super) struct Attempt<'a> {
    pub(super) orphan: &'a FoundOrphan,
    /// An error's text, causes included, is for the operator.
    pub(super) result: Result<Removal, String>,
}

/// Needs `DATABASE_URL` and the settings that begin with `FLY_`, but for regions and image.
///
/// Errors: settings, the database or Fly; an id that is no orphan's; not confirmed; a deletion that failed.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let config = OrphansConfig::read(source)?;
    let database = database::open(source).await?;
    let grace = match options.grace {
        Some(seconds) => Grace { time: Duration::from_secs(seconds), ..Grace::NONE },
        None => Grace::from(&config.policy.orphans),
    };
    let sweeper = sweeper(config, database)?;
    let mut survey = sweeper.survey(grace).await?;
    only(&mut survey, &options.ids)?;
    if !options.delete {
        return Ok(if options.json { say(json::survey(&survey, &[])) } else { say(table::survey(&survey)) }?);
    }
    if !options.json {
        say(table::survey(&survey))?;
    }
    let chosen = chosen(&survey, &options.ids)?;
    if !chosen.is_empty() {
        confirm(&question(&chosen), "delete", options.yes)?;
    }
    let attempts = delete(&sweeper, &chosen, &actor(source)).await;
    say(if options.json { json::survey(&survey, &attempts).to_string() } else { table::attempts(&attempts) })?;
    match attempts.iter().filter(|attempt| attempt.result.is_err()).count() {
        0 => Ok(()),
        failed => bail!("{failed} could not be deleted"),
    }
}

fn sweeper(config: OrphansConfig, database: Database) -> anyhow::Result<OrphanSweeper> {
    let database = Arc::new(database);
    let fly = Arc::new(fly(&config.fly, pacing(&config.fly))?);
    let ports = OrphanPorts {
        orphans: database.clone(),
        jobs: database,
        inventory: fly.clone(),
        machines: fly.clone(),
        volumes: fly,
        env: Env { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), jitter: Arc::new(ThreadJitter) },
    };
    // It makes no pass, so nothing is claimed under this name.
    Ok(OrphanSweeper::with(ports, config.policy, WorkerId("gastown orphans".to_owned())))
}

/// Leaves the named ones; all where none is.
fn only(survey: &mut Survey, ids: &[String]) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let id_of = |orphan: &FoundOrphan| orphan.sighting.item.resource.id().to_owned();
    let known: Vec<_> = survey.orphans.iter().map(id_of).collect();
    let unknown: Vec<_> = ids.iter().filter(|id| !known.contains(id)).map(String::as_str).collect();
    if !unknown.is_empty() {
        bail!("not at Fly, or accounted for by a row: {}", unknown.join(", "));
    }
    survey.orphans.retain(|orphan| ids.contains(&id_of(orphan)));
    survey.unseen.clear();
    Ok(())
}

/// Those that may be deleted, machines first.
fn chosen<'a>(survey: &'a Survey, ids: &[String]) -> anyhow::Result<Vec<&'a FoundOrphan>> {
    if survey.alarm.is_some() && ids.is_empty() {
        bail!(
            "so much of what is at Fly belongs to no row that a mistake is likely: is it the right database, and up to \
             date? Nothing was deleted; what is an orphan for certain can be named by its id"
        );
    }
    let may_go = |orphan: &&FoundOrphan| match orphan.verdict {
        Verdict::Deletable => true,
        Verdict::NeedsOperator => !ids.is_empty(),
        _ => false,
    };
    Ok(survey.orphans.iter().filter(may_go).collect())
}

fn question(chosen: &[&FoundOrphan]) -> String {
    let things: Vec<_> = chosen.iter().map(|orphan| orphan.sighting.item.resource.to_string()).collect();
    format!("Delete {}? What is on a volume will be gone for good.", things.join(", "))
}

async fn delete<'a>(sweeper: &OrphanSweeper, chosen: &[&'a FoundOrphan], actor: &str) -> Vec<Attempt<'a>> {
    let mut attempts = Vec::new();
    for orphan in chosen {
        let result = sweeper.delete(&orphan.sighting, actor).await.context("cannot delete it");
        attempts.push(Attempt { orphan, result: result.map_err(|error| format!("{error:#}")) });
    }
    attempts
}
