//! Removal of rigs: repeated, refused, forced.

use serde_json::Value;

use super::rigs::{APP, body, clear, list};
use crate::probe::{Answer, Probe};
use crate::report::Outcomes;
use crate::rules::{self, Rule};

const BUSY: &str = "kit_busy";
const OF_WORK: &[&Rule] = &[&rules::RIG_IN_USE, &rules::RIG_KEPT, &rules::RIG_FORCE_WORD, &rules::RIG_FORCE];

pub(crate) async fn check(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    plain(probe, outcomes).await;
    match &probe.options.repositories.unpushed {
        Some(repo) => drop(with_work(probe, repo, outcomes).await),
        None => outcomes.skip(OF_WORK, "no repository with unpushed work was given"),
    }
    clear(probe).await
}

async fn plain(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let repositories = &probe.options.repositories;
    let request = || probe.add(body(APP, &repositories.good, Some(&repositories.branch)));
    let added = probe.send(request()).await?;
    if !matches!(added.status, 200 | 201) {
        return None;
    }
    let answer = probe.send(probe.remove(&APP.to_uppercase(), "force=false")).await?;
    let gone = answer.empty(204).and(listed(probe, APP).await?.and_then(absent));
    outcomes.check(&rules::RIG_REMOVE, gone)?;
    let answer = probe.send(probe.remove(APP, "force=false")).await?;
    outcomes.check(&rules::RIG_REMOVE_AGAIN, answer.problem(404, "rig_not_found"));
    let answer = probe.send(request()).await?;
    outcomes.check(&rules::RIG_ADD_AGAIN, answer.json(201).map(drop))
}

async fn with_work(probe: &Probe<'_>, repo: &str, outcomes: &mut Outcomes) -> Option<()> {
    let added = probe.send(probe.add(body(BUSY, repo, None))).await?;
    outcomes.check(&rules::RIG_IN_USE, added.json(201))?;
    let answer = probe.send(probe.remove(BUSY, "force=false")).await?;
    outcomes.check(&rules::RIG_IN_USE, in_the_way(&answer))?;
    outcomes.check(&rules::RIG_KEPT, listed(probe, BUSY).await?.and_then(present))?;
    let answer = probe.send(probe.remove(BUSY, "force=1")).await?;
    outcomes.check(&rules::RIG_FORCE_WORD, in_the_way(&answer))?;
    let answer = probe.send(probe.remove(BUSY, "force=true")).await?;
    outcomes.check(&rules::RIG_FORCE, answer.empty(204).and(listed(probe, BUSY).await?.and_then(absent)))
}

/// Requires the error `rig_in_use` with at least one line.
fn in_the_way(answer: &Answer) -> Result<(), String> {
    let body = answer.problem(409, "rig_in_use")?;
    let lines = body
        .pointer("/error/inTheWay")
        .and_then(Value::as_array)
        .map_or(0, |lines| if lines.iter().all(Value::is_string) { lines.len() } else { 0 });
    if lines > 0 { Ok(()) } else { Err(format!("{} (expected lines in inTheWay)", answer.shown())) }
}

/// Returns true if a rig of this name is listed.
async fn listed(probe: &Probe<'_>, name: &str) -> Option<Result<bool, String>> {
    Some(list(probe).await?.map(|rigs| rigs.iter().any(|rig| rig.name.eq_ignore_ascii_case(name))))
}

fn present(is_listed: bool) -> Result<(), String> {
    if is_listed { Ok(()) } else { Err("the rig is not listed any more".to_owned()) }
}

fn absent(is_listed: bool) -> Result<(), String> {
    if is_listed { Err("the rig is still listed".to_owned()) } else { Ok(()) }
}
