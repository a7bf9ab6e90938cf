//! `gastown adopt`: rebuilds the rows of a lost registry from what Fly shows. Changes nothing at Fly.

mod plan;
mod render;
mod rigs;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::{Adopted, Adoption, Ids, Operator as _, Users as _};
use gastown_domain::{Rig, RigStatus, SandboxRig, Town, TownId, TownName, UserId};
use gastown_persistence::Database;
use gastown_system::RandomIds;

use self::plan::{Plan, Proposal};
use super::actor::actor;
use super::database;
use super::fly_view::{self, FlyView};
use super::say::say;
use crate::config::OrphansConfig;
use crate::settings_source::Source;

/// The options of `gastown adopt`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Write the rows. Without it, they are only shown.
    #[arg(long)]
    apply: bool,
    /// The name of a town whose machine does not show it. Can be repeated.
    #[arg(long = "name", value_name = "ID=NAME")]
    names: Vec<GivenName>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A town's id and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GivenName(TownId, TownName);

impl FromStr for GivenName {
    type Err = &'static str;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let parsed = raw.split_once('=').and_then(|(id, name)| Some(Self(id.parse().ok()?, name.parse().ok()?)));
        parsed.ok_or("must be ID=NAME, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b=mill")
    }
}

/// Examples for the help.
pub const EXAMPLES: &str = "\
Examples:
  gastown adopt
  gastown adopt --apply";

/// The result of writing one row.
enum Written {
    Inserted,
    Known,
    /// The text of the error.
    Failed(String),
}

/// Runs the command. It needs `DATABASE_URL` and the settings that begin with `FLY_`, except regions and image. With
/// `INTERNAL_API_SECRET` it asks the sandboxes of running towns for their rigs, at `SANDBOX_URL`.
///
/// Errors: settings, database, Fly. With `--apply` also a row that could not be written, and a town that was left out.
pub async fn run(source: &Source, options: Options) -> anyhow::Result<()> {
    let config = OrphansConfig::read(source)?;
    let database = database::open(source).await?;
    let fly = fly_view::fly(&config)?;
    let view = fly_view::read(&fly).await?;
    let names: BTreeMap<_, _> = options.names.into_iter().map(|GivenName(town, name)| (town, name)).collect();
    let mut plan = plan::plan(&view, &names, &known(&database, &view).await?);
    drop_without_users(&database, &mut plan).await?;
    rigs::ask(source, &mut plan.proposals).await?;
    if !options.apply {
        return Ok(if options.json { say(render::json(&plan, &[])) } else { say(render::table(&plan)) }?);
    }
    if let Some(warning) = render::missing_rigs(&plan).filter(|_| !options.json) {
        say(warning)?;
    }
    let written = write(&database, &plan.proposals, &actor(source)).await;
    say(if options.json { render::json(&plan, &written).to_string() } else { render::written(&plan, &written) })?;
    let failed = written.iter().filter(|written| matches!(written, Written::Failed(_))).count();
    match (failed, plan.towns_left_out()) {
        (0, 0) => Ok(()),
        (failed, left_out) => bail!("{failed} rows could not be written, and {left_out} towns were left out"),
    }
}

/// Returns the rows of the towns that Fly shows.
async fn known(database: &Database, view: &FlyView) -> anyhow::Result<BTreeMap<TownId, Town>> {
    use gastown_domain::ports::Registry as _;
    let mut known = BTreeMap::new();
    for town in plan::towns_of(view) {
        if let Some(row) = database.load(town).await.context("failed to read the registry")? {
            known.insert(town, row);
        }
    }
    Ok(known)
}

/// Leaves out the towns of users that do not exist, because each row refers to its user.
async fn drop_without_users(database: &Database, plan: &mut Plan) -> anyhow::Result<()> {
    let owners: BTreeSet<UserId> = plan.proposals.iter().map(|proposal| proposal.town.owner.clone()).collect();
    for owner in owners {
        if database.user(&owner).await.context("failed to read the registry")?.is_none() {
            let reason = format!("user {owner} is not in kilocode_users: restore the users first");
            plan.leave_out(|proposal| (proposal.town.owner == owner).then(|| reason.clone()));
        }
    }
    Ok(())
}

async fn write(database: &Database, proposals: &[Proposal], actor: &str) -> Vec<Written> {
    let mut written = Vec::new();
    for Proposal { town, rigs, .. } in proposals {
        let rigs = rigs.as_ref().map(|rigs| rigs.iter().map(|rig| row_of(rig, town, &RandomIds)).collect());
        // A repeat after a lost answer finds the row.
        written.push(match database.adopt(&Adoption { town: town.clone(), rigs }, actor).await {
            Ok(Adopted::Inserted) => Written::Inserted,
            Ok(Adopted::Known) => Written::Known,
            Err(error) => Written::Failed(format!("{:#}", anyhow::Error::from(error))),
        });
    }
    written
}

/// Returns the row of a rig that its sandbox has completely added. Its time of creation is not known, so it is that of its town.
fn row_of(rig: &SandboxRig, town: &Town, ids: &impl Ids) -> Rig {
    Rig {
        id: ids.rig(),
        town: town.id,
        name: rig.name.clone(),
        repo: rig.repo.clone(),
        branch: rig.branch.clone(),
        status: RigStatus::Active,
        config: serde_json::Map::new(),
        created_at: town.created_at,
    }
}
