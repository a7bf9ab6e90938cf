//! `gastown rig`: lists, adds and removes the rigs of a town, in the database or at a server.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use gastown_domain::ports::{Clock as _, Ids as _, Operator as _, Rigs as _};
use gastown_domain::{Branch, RepoUrl, Rig, RigName, RigStatus, Town, TownId};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock};
use serde_json::{Value, json};

use super::actor::actor;
use super::database;
use super::exit::CodedError;
use super::remote::{Remote, ServerOptions};
use super::render::table::{headed, plain};
use super::say::say;
use super::town_ref::AnyTown;
use crate::config::CreationConfig;
use crate::operator_access::InDatabase;
use crate::reports;
use crate::settings_source::Source;

/// The tries to mark a rig whose status changes at the same time.
const TRIES: u32 = 5;

/// The subcommands of `gastown rig`.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// List the rigs of a town.
    #[command(after_help = "Example:\n  gastown rig list alice/mill --json")]
    List(Which),
    /// Add a rig to a town. In the database it is `pending` until a running `gastown serve` has told the sandbox.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Addition),
    /// Remove a rig from a town. In the database it is `removing` until a running `gastown serve` has told the sandbox.
    #[command(after_help = "Example:\n  gastown rig remove alice/mill app")]
    Remove(Removal),
}

const ADD_EXAMPLES: &str = "\
Examples:
  gastown rig add alice/mill app https://github.com/acme/app --branch main
  GASTOWN_TOKEN=… gastown rig add mill app https://github.com/acme/app --server https://gastown-control-plane.fly.dev";

/// A town, its place, and the format of the output.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The town's id, the name of its machine, or USER/NAME. At a server the id, or the name alone.
    #[arg(value_name = "TOWN")]
    town: AnyTown,
    #[command(flatten)]
    at: ServerOptions,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The options of `gastown rig add`.
#[derive(Debug, Clone, Args)]
pub struct Addition {
    #[command(flatten)]
    of: Which,
    /// The name of the rig.
    #[arg(value_name = "RIG")]
    name: RigName,
    /// The repository to clone, by HTTPS or SSH, on a public host.
    #[arg(value_name = "REPO")]
    repo: RepoUrl,
    /// The branch. Without it, the default branch of the repository.
    #[arg(long, value_name = "BRANCH")]
    branch: Option<Branch>,
}

/// The options of `gastown rig remove`.
#[derive(Debug, Clone, Args)]
pub struct Removal {
    #[command(flatten)]
    of: Which,
    /// The name of the rig.
    #[arg(value_name = "RIG")]
    name: RigName,
    /// Remove the rig even if work is lost. Only at a server.
    #[arg(long, requires = "server")]
    force: bool,
}

/// Runs the command. In the database it needs only `DATABASE_URL`, and at a server only a user's token.
///
/// Errors: no such town or rig, refused, the database, the server.
pub async fn run(source: &Source, action: Action) -> anyhow::Result<()> {
    let actor = actor(source);
    match action {
        Action::List(of) => match of.at.remote()? {
            Some(remote) => listed(&of, &rigs_at(&remote, &of.town.at_server(&remote).await?).await?),
            None => listed_in(source, &of).await,
        },
        Action::Add(addition) => match addition.of.at.remote()? {
            Some(remote) => add_at(&remote, &addition).await,
            None => add_in(source, &addition, &actor).await,
        },
        Action::Remove(removal) => match removal.of.at.remote()? {
            Some(remote) => remove_at(&remote, &removal).await,
            None => remove_in(source, &removal).await,
        },
    }
}

async fn listed_in(source: &Source, of: &Which) -> anyhow::Result<()> {
    let (database, town) = live_town(source, of).await?;
    let rigs = database.list(town.id).await.context("failed to read the registry")?;
    listed(of, &rigs.iter().map(|rig| json!(reports::Rig::from(rig))).collect::<Vec<_>>())
}

fn listed(of: &Which, rigs: &[Value]) -> anyhow::Result<()> {
    if of.json {
        return Ok(say(json!({ "rigs": rigs }))?);
    }
    if rigs.is_empty() {
        return Ok(say("The town has no rig.")?);
    }
    let mut table = headed(["name", "status", "repository", "branch"]);
    for rig in rigs {
        table
            .add_row(["rigName", "status", "repoUrl", "branch"].map(|field| plain(rig[field].as_str().unwrap_or("-"))));
    }
    Ok(say(table.trim_fmt())?)
}

/// Opens the database, and returns the live town.
async fn live_town(source: &Source, of: &Which) -> anyhow::Result<(Database, Town)> {
    let town = of.town.in_database()?;
    let database = database::open(source).await?;
    let id: TownId = town.resolve(&InDatabase::new(database.clone(), actor(source))).await?;
    let found = database.town_details(id, &[], 0).await.context("failed to read the registry")?;
    match found.map(|found| found.town).filter(|town| !town.is_tombstone()) {
        Some(town) => Ok((database, town)),
        None => Err(CodedError::NoSuchTown(id.to_string()).into()),
    }
}

async fn add_in(source: &Source, addition: &Addition, actor: &str) -> anyhow::Result<()> {
    let max_rigs = CreationConfig::read(source)?.policy.limits.rigs_per_town;
    let (database, town) = live_town(source, &addition.of).await?;
    let rig = Rig {
        id: RandomIds.rig(),
        town: town.id,
        name: addition.name.clone(),
        repo: addition.repo.clone(),
        branch: addition.branch.clone(),
        status: RigStatus::Pending,
        config: serde_json::Map::new(),
        created_at: SystemClock.now(),
    };
    if let Err(error) = database.insert_rig_as(&town.owner, &rig, max_rigs, actor).await {
        // The answer of a commit may be lost, and the row is there (FM-46).
        let is_written = matches!(database.find(town.id, rig.id).await, Ok(Some(_)));
        if !is_written {
            return Err(error).context("the rig was not added");
        }
    }
    if addition.of.json {
        return Ok(say(json!({ "townId": town.id, "rig": reports::Rig::from(&rig) }))?);
    }
    Ok(say(format!("Rig {} is pending. A running `gastown serve` adds it to the sandbox.", rig.name))?)
}

async fn remove_in(source: &Source, removal: &Removal) -> anyhow::Result<()> {
    let (database, town) = live_town(source, &removal.of).await?;
    for _ in 0..TRIES {
        let rigs = database.list(town.id).await.context("failed to read the registry")?;
        let found = rigs.into_iter().find(|rig| rig.name.folded() == removal.name.folded());
        let Some(rig) = found else { bail!("the town has no rig {}", removal.name) };
        let marked = rig.status == RigStatus::Removing
            || database
                .set_status(town.id, rig.id, rig.status, RigStatus::Removing)
                .await
                .context("failed to write to the registry")?;
        if marked && removal.of.json {
            let rig = reports::Rig::from(&Rig { status: RigStatus::Removing, ..rig });
            return Ok(say(json!({ "townId": town.id, "rig": rig }))?);
        }
        if marked {
            return Ok(say(format!("Rig {} is removing. A running `gastown serve` removes it.", rig.name))?);
        }
    }
    bail!("the status of the rig keeps changing; try again")
}

async fn rigs_at(remote: &Remote, town: &str) -> anyhow::Result<Vec<Value>> {
    let report = remote.query("getTownStatus", &json!({ "townId": town })).await?;
    report["rigs"].as_array().cloned().context("the answer has no rigs")
}

async fn add_at(remote: &Remote, addition: &Addition) -> anyhow::Result<()> {
    let town = addition.of.town.at_server(remote).await?;
    let mut input = json!({ "townId": town, "rigName": addition.name.as_str(), "repoUrl": addition.repo.as_str() });
    if let Some(branch) = &addition.branch {
        input["branch"] = json!(branch.as_str());
    }
    let added = remote.mutate("addRig", &input).await?;
    if addition.of.json {
        return Ok(say(added)?);
    }
    Ok(say(format!("Rig {} is {}.", addition.name, plain(added["status"].as_str().unwrap_or("?"))))?)
}

async fn remove_at(remote: &Remote, removal: &Removal) -> anyhow::Result<()> {
    let town = removal.of.town.at_server(remote).await?;
    let rigs = rigs_at(remote, &town).await?;
    let named =
        |rig: &&Value| rig["rigName"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(removal.name.as_str()));
    let Some(rig) = rigs.iter().find(named) else { bail!("the town has no rig {}", removal.name) };
    let input = json!({ "townId": town, "rigId": rig["rigId"], "force": removal.force });
    let answer = remote.mutate("removeRig", &input).await?;
    if removal.of.json {
        return Ok(say(answer)?);
    }
    let is_removed = answer["removed"] == true;
    let text = if is_removed { "is removed" } else { "is removed when the sandbox answers" };
    Ok(say(format!("Rig {} {text}.", removal.name))?)
}
