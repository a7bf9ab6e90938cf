//! The rigs of the towns that run, as their sandboxes list them. Nothing is changed, and no machine is started.

use std::collections::BTreeSet;
use std::sync::Arc;

use gastown_domain::ports::{SandboxAddress, Sandboxes as _, TownKeys as _};
use gastown_domain::{SandboxRig, TownStatus};
use gastown_sandbox::{SandboxClient, Timeouts};
use tokio::task::JoinSet;

use super::plan::Proposal;
use crate::config::SandboxAccess;
use crate::settings_source::Source;

/// The number of sandboxes that are asked at once.
const AT_ONCE: usize = 16;

/// Notes of towns whose rigs are not known.
const NO_SECRET: &str = "its rigs are not known: set INTERNAL_API_SECRET to ask its sandbox";
const NOT_RUNNING: &str = "its rigs are not known: it does not run";
const NO_ANSWER: &str = "its rigs are not known: its sandbox did not answer";

/// Asks the sandbox of each running town, and notes which ones did not answer.
///
/// Errors: invalid settings of the sandboxes. Without `INTERNAL_API_SECRET` no sandbox is asked.
pub(super) async fn ask(source: &Source, proposals: &mut [Proposal]) -> anyhow::Result<()> {
    if source.get("INTERNAL_API_SECRET").is_none() {
        for proposal in proposals {
            proposal.notes.push(NO_SECRET.to_owned());
        }
        return Ok(());
    }
    let access = SandboxAccess::read(source)?;
    let client = Arc::new(SandboxClient::new(access.url.clone(), Timeouts::default())?);
    for part in proposals.chunks_mut(AT_ONCE) {
        let mut calls = JoinSet::new();
        for (place, proposal) in part.iter().enumerate() {
            if let Some(address) = address(&access, proposal) {
                let client = Arc::clone(&client);
                calls.spawn(async move { (place, client.rigs(&address).await) });
            }
        }
        while let Some(Ok((place, answer))) = calls.join_next().await {
            part[place].rigs = answer.ok().map(distinct);
        }
    }
    for proposal in proposals.iter_mut().filter(|proposal| proposal.rigs.is_none()) {
        let is_running = proposal.town.status == TownStatus::Running;
        proposal.notes.push(if is_running { NO_ANSWER } else { NOT_RUNNING }.to_owned());
    }
    Ok(())
}

/// Returns the address of a running town's sandbox.
fn address(access: &SandboxAccess, Proposal { town, .. }: &Proposal) -> Option<SandboxAddress> {
    let machine = town.machine_id.clone().filter(|_| town.status == TownStatus::Running)?;
    let app = access.app.app_of(&town.owner).ok()?;
    Some(SandboxAddress { app, machine, town: town.id, keys: access.keys.keys_of(town.id) })
}

/// Returns the rigs without repeated names, because a town cannot have two rigs of one name.
fn distinct(rigs: Vec<SandboxRig>) -> Vec<SandboxRig> {
    let mut names = BTreeSet::new();
    rigs.into_iter().filter(|rig| names.insert(rig.name.folded())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_left_out() {
        let rig = |name: &str| SandboxRig {
            name: name.parse().unwrap(),
            repo: "https://github.com/acme/app".parse().unwrap(),
            branch: None,
        };
        let names: Vec<_> =
            distinct(vec![rig("app"), rig("App"), rig("web")]).into_iter().map(|rig| rig.name).collect();
        assert_eq!(names, ["app", "web"].map(|name| name.parse().unwrap()));
    }
}
