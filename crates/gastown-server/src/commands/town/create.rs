//! `gastown town create`: creates a town of any user in the database, or of the token's user at a server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use gastown_domain::ports::{AcceptedCreate, Clock as _, Ids as _, NewCreate, NewOperation, Operations as _};
use gastown_domain::{NewTown, OperationId, OperationKind, Region, TownConfig, TownId, TownName, TownStatus, UserId};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock};
use serde_json::{Value, json};

use super::Chosen;
use super::follow::{Followed, follow};
use super::power::answer;
use crate::commands::remote::{Remote, RemoteError, ServerOptions};
use crate::commands::render::table::plain;
use crate::commands::say::say;
use crate::commands::town_ref::{AnyTown, TownRef, with_owner, without_owner};
use crate::commands::{database, exit::CodedError};
use crate::config::CreationConfig;
use crate::operator_access::{InDatabase, OperatorAccess as _};
use crate::reports::TownReport;
use crate::settings_source::Source;

/// The tries of a call whose answer is lost. Its idempotency key makes repeats harmless.
const TRIES: u32 = 3;
/// The pause between two reads at a server.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  gastown town create alice/mill --wait 300
  GASTOWN_TOKEN=… gastown town create mill --server https://gastown-control-plane.fly.dev --json";

/// The options of `gastown town create`.
#[derive(Debug, Clone, Args)]
pub struct Creation {
    /// USER/NAME in the database. At a server only NAME, because the token names the user.
    #[arg(value_name = "TOWN")]
    town: AnyTown,
    /// The region. Without it, the first of `FLY_REGIONS` or of the server.
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    #[command(flatten)]
    at: ServerOptions,
    /// Wait until the town runs, at most this long. The operation continues in any case. A server answers only after its own
    /// wait, which is 60 seconds by default.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(source: &Source, options: Creation, actor: &str) -> anyhow::Result<()> {
    match (options.at.remote()?, options.town.clone()) {
        (Some(remote), AnyTown::Name(name)) => at_server(&remote, &name, &options).await,
        (Some(_), AnyTown::Ref(_)) => Err(with_owner().into()),
        (None, AnyTown::Ref(TownRef::Named { owner, name })) => in_database(source, owner, name, &options, actor).await,
        (None, AnyTown::Name(name)) => Err(without_owner(name.as_str()).into()),
        (None, AnyTown::Ref(TownRef::Id(id))) => Err(without_owner(&id.to_string()).into()),
    }
}

async fn in_database(
    source: &Source,
    owner: UserId,
    name: TownName,
    options: &Creation,
    actor: &str,
) -> anyhow::Result<()> {
    let config = CreationConfig::read(source)?;
    let database = database::open(source).await?;
    let create = new_create(owner, name, options.region.as_ref(), &config)?;
    let (town, operation) = accepted(&database, &create, actor).await?;
    let access = InDatabase::new(database, actor);
    let of = Chosen { town, json: options.json };
    let Some(seconds) = options.wait else {
        return Ok(if of.json {
            say(answer(&access.town(town).await?))
        } else {
            say(format!("The create of town {town} is accepted. A running `gastown serve` executes it."))
        }?);
    };
    match follow(&access, of, Duration::from_secs(seconds), |found| found.operation.is_none()).await? {
        Followed::Ended(found) => ended(&access, of, &found, operation).await,
        Followed::NotInTime(state) => Err(of.not_in_time("running", seconds, &state)),
    }
}

/// Returns the create that a server would accept, with its limits.
fn new_create(
    owner: UserId,
    name: TownName,
    region: Option<&Region>,
    config: &CreationConfig,
) -> anyhow::Result<NewCreate> {
    let region = match region {
        Some(region) if config.regions.contains(region) => region.clone(),
        Some(region) => bail!("the region {region} is not one of FLY_REGIONS"),
        None => config.regions.first().cloned().context("FLY_REGIONS names no region")?,
    };
    let (id, at) = (RandomIds.town(), SystemClock.now());
    let operation = NewOperation {
        id: RandomIds.operation(),
        town: id,
        kind: OperationKind::Create,
        requested_by: owner.clone(),
        at,
        timeout: Some(config.policy.timeouts.create),
        max_in_flight: Some(config.policy.limits.operations_per_user),
        claim: None,
    };
    let (rigs, town_config) = (Vec::new(), TownConfig::default());
    let town = NewTown { id, owner, name, region, config: town_config, rigs, created_at: at };
    Ok(NewCreate { town, operation, keyed: None, max_towns: config.policy.limits.towns_per_user })
}

/// Writes the create. After a lost answer the operation in flight shows that it was written (FM-46).
async fn accepted(database: &Database, create: &NewCreate, actor: &str) -> anyhow::Result<(TownId, OperationId)> {
    let written = (create.town.id, create.operation.id);
    match database.accept_create_as(create, actor).await {
        Ok(AcceptedCreate::Inserted(_)) => Ok(written),
        Ok(AcceptedCreate::Known { town, operation }) => Ok((town, operation)),
        Err(error) => match database.current(create.town.id).await {
            Ok(Some(operation)) if operation.id == create.operation.id => Ok(written),
            Ok(_) | Err(_) => Err(error).context("the town was not created"),
        },
    }
}

async fn ended(access: &InDatabase, of: Chosen, found: &TownReport, id: OperationId) -> anyhow::Result<()> {
    if let Some(cause) = access.end_of(id).await?.and_then(|end| end.failure) {
        bail!("the create of town {} failed ({}): {}", of.town, plain(&cause.code), plain(&cause.message));
    }
    Ok(if of.json { say(answer(found)) } else { say(format!("Town {} is {}.", of.town, found.town.status)) }?)
}

async fn at_server(remote: &Remote, name: &TownName, options: &Creation) -> anyhow::Result<()> {
    let key = RandomIds.operation().to_string();
    let mut input = json!({ "townName": name.as_str(), "idempotencyKey": key });
    if let Some(region) = &options.region {
        input["region"] = json!(region.as_str());
    }
    let mut answer = created(remote, &input).await?;
    if let Some(seconds) = options.wait {
        let town = answer["townId"].as_str().context("the answer has no town")?.to_owned();
        let settled = tokio::time::timeout(Duration::from_secs(seconds), settled(remote, &town)).await;
        answer = match settled {
            Ok(report) => report?,
            Err(_elapsed) => {
                let text = format!("town {town} is not running after {seconds} s; the operation continues");
                return Err(CodedError::NotInTime(text).into());
            }
        };
        if answer["status"] != TownStatus::Running.as_str() {
            let why = answer.pointer("/lastOutcome/failure/message").and_then(Value::as_str);
            bail!("the create of town {town} failed: {}", plain(why.unwrap_or("no reason is known")));
        }
    }
    let text = |field: &str| plain(answer[field].as_str().unwrap_or("?"));
    Ok(if options.json { say(&answer) } else { say(format!("Town {} is {}.", text("townId"), text("status"))) }?)
}

async fn created(remote: &Remote, input: &Value) -> anyhow::Result<Value> {
    let mut tries = 1;
    loop {
        match remote.mutate("createTown", input).await {
            Err(RemoteError::NoAnswer(_)) if tries < TRIES => tries += 1,
            answered => return answered.context("the town was not created"),
        }
    }
}

/// Polls until nothing is in flight.
async fn settled(remote: &Remote, town: &str) -> anyhow::Result<Value> {
    loop {
        match remote.query("getTownStatus", &json!({ "townId": town })).await {
            Ok(report) if report["operation"].is_null() => return Ok(report),
            Ok(_) | Err(RemoteError::NoAnswer(_)) => tokio::time::sleep(POLL_INTERVAL).await,
            Err(error) => return Err(error).context("the town was not created"),
        }
    }
}
