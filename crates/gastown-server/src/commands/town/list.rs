//! `gastown town list`: lists the towns of all users.

use std::collections::HashMap;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use gastown_domain::ports::{ListedHealth, ListedTown, Operator as _, Readable, TownFilter};
use gastown_domain::{TownId, TownName, TownStatus, UserId};
use gastown_fly::MachineDetails;
use gastown_persistence::Database;

use crate::commands::fly_view;
use crate::commands::render::{MachinesOfTowns, TownMachine, json_lists, table_lists};
use crate::commands::say::say;
use crate::config::{KeyIds, OrphansConfig};
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
    /// Only towns whose machine at Fly has this image. Needs the settings of Fly, as `gastown orphans` does.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Only towns whose machine at Fly was given keys of the present settings, or of earlier ones. Needs the settings of Fly,
    /// `SANDBOX_PUBLIC_KEY` and `INTERNAL_API_SECRET`.
    #[arg(long, value_enum)]
    key: Option<KeyFilter>,
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

/// The age of a town's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyFilter {
    /// One of its keys is from before a rotation. Stop and start the town before you end the rotation.
    Old,
    /// All its keys are those of the settings.
    Current,
}

pub(super) async fn run(source: &Source, database: &Database, options: ListOptions) -> anyhow::Result<()> {
    let machines = machines(source, &options).await?;
    let filter = TownFilter {
        owner: options.user,
        name: options.name,
        status: options.status,
        health: options.health.map(ListedHealth::from),
        after: None,
    };
    // One more shows that there are more.
    let most = if machines.is_some() { MAX_COMPARED } else { options.limit + 1 };
    let mut found = database.towns(&filter, most).await.context("failed to read the registry")?;
    if let Some(machines) = &machines {
        found.retain(|listed| is_wanted(machines, listed, options.image.as_deref(), options.key));
    }
    let limit = options.limit as usize;
    let has_more = found.len() > limit;
    let shown = found.get(..limit).unwrap_or(&found);
    Ok(if options.json {
        say(json_lists::towns(shown, has_more, machines.as_ref()))
    } else {
        say(table_lists::towns(shown, has_more, machines.as_ref()))
    }?)
}

/// Reads the machines at Fly, if a condition needs them.
async fn machines(source: &Source, options: &ListOptions) -> anyhow::Result<Option<MachinesOfTowns>> {
    if options.image.is_none() && options.key.is_none() {
        return Ok(None);
    }
    let keys = options.key.map(|_| KeyIds::read(source)).transpose()?;
    let fly = fly_view::fly(&OrphansConfig::read(source)?)?;
    let view = fly_view::read(&fly).await?;
    let machine = |machine: MachineDetails| {
        let is_old = keys.as_ref().is_some_and(|keys| is_old(&machine, keys));
        Some((machine.town?, TownMachine { image: machine.image, has_old_key: keys.is_some().then_some(is_old) }))
    };
    Ok(Some(view.machines.into_iter().filter_map(machine).collect::<HashMap<TownId, TownMachine>>()))
}

/// Returns true if a machine was given a key that is not of the present settings.
fn is_old(machine: &MachineDetails, keys: &KeyIds) -> bool {
    machine.sealed_for.as_ref().is_some_and(|id| *id != keys.sealing)
        || machine.town_key_id.as_ref().is_none_or(|id| *id != keys.towns)
}

fn is_wanted(
    machines: &MachinesOfTowns,
    listed: &Readable<ListedTown>,
    image: Option<&str>,
    key: Option<KeyFilter>,
) -> bool {
    // A row that cannot be read is shown, because it may be wanted.
    let Ok(listed) = listed else { return true };
    let Some(machine) = machines.get(&listed.town.id) else { return false };
    image.is_none_or(|image| machine.image.as_deref() == Some(image))
        && key.is_none_or(|key| machine.has_old_key == Some(key == KeyFilter::Old))
}
