//! `gastown town list`: lists the towns of all users.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use gastown_domain::ports::{ListedHealth, TownFilter};
use gastown_domain::{TownId, TownName, TownStatus, UserId};
use gastown_fly::MachineDetails;

use crate::commands::at_server::OperatorServer;
use crate::commands::fly_view;
use crate::commands::render::table_lists;
use crate::commands::say::{say, say_json};
use crate::config::{KeyIds, OrphansConfig};
use crate::reports::MachineOfTown;
use crate::settings_source::Source;

/// The most towns that are compared with Fly.
const MAX_COMPARED: u32 = 10_000;

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
    /// Only towns whose machine has this image. A town whose image is not known is left out.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Only towns whose machine at Fly was given keys of the present settings, or of earlier ones. Needs the settings of Fly,
    /// `SANDBOX_PUBLIC_KEY` and `INTERNAL_API_SECRET`.
    #[arg(long, value_enum, conflicts_with = "server")]
    key: Option<KeyFilter>,
    /// The maximum number.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: OperatorServer,
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

/// The age of a town's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyFilter {
    /// One of its keys is from before a rotation. Stop and start the town before you end the rotation.
    Old,
    /// All its keys are those of the settings.
    Current,
}

pub(super) async fn run(source: &Source, options: ListOptions) -> anyhow::Result<()> {
    let access = options.at.access(source).await?;
    let machines = machines(source, &options).await?;
    let filter = TownFilter {
        owner: options.user,
        name: options.name,
        status: options.status,
        health: options.health.map(ListedHealth::from),
        image: options.image.clone(),
        after: None,
    };
    let list = match &machines {
        None => access.towns(&filter, options.limit).await?,
        Some(machines) => {
            let all = access.towns(&filter, MAX_COMPARED).await?;
            all.with_machines(machines, |machine| is_wanted(machine, options.key)).cut(options.limit)
        }
    };
    if options.json { say_json(&list) } else { Ok(say(table_lists::towns(&list, machines.is_some()))?) }
}

/// Reads the machines at Fly, if the condition of keys needs them.
async fn machines(source: &Source, options: &ListOptions) -> anyhow::Result<Option<HashMap<TownId, MachineOfTown>>> {
    if options.key.is_none() {
        return Ok(None);
    }
    let keys = KeyIds::read(source)?;
    let fly = fly_view::fly(&OrphansConfig::read(source)?)?;
    let view = fly_view::read(&fly).await?;
    let machine = |machine: MachineDetails| {
        let is_old = is_old(&machine, &keys);
        Some((machine.town?, MachineOfTown { image: machine.image, has_old_key: Some(is_old) }))
    };
    Ok(Some(view.machines.into_iter().filter_map(machine).collect()))
}

/// Returns true if a machine was given a key that is not of the present settings.
fn is_old(machine: &MachineDetails, keys: &KeyIds) -> bool {
    machine.sealed_for.as_ref().is_some_and(|id| *id != keys.sealing)
        || machine.town_key_id.as_ref().is_none_or(|id| *id != keys.towns)
}

fn is_wanted(machine: &MachineOfTown, key: Option<KeyFilter>) -> bool {
    key.is_none_or(|key| machine.has_old_key == Some(key == KeyFilter::Old))
}
