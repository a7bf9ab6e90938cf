//! `gastown town watch`: shows each change of a town until it is destroyed, or until nothing is in flight.

use std::time::Duration;

use chrono::SecondsFormat;
use clap::Args;
use gastown_domain::ports::Clock as _;
use gastown_domain::{TownId, TownStatus};
use gastown_system::SystemClock;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::commands::actor::actor;
use crate::commands::remote::{Remote, RemoteError, ServerOptions};
use crate::commands::render::table::plain;
use crate::commands::say::say;
use crate::commands::town_ref::AnyTown;
use crate::commands::{database, exit::CodedError};
use crate::operator_access::{InDatabase, OperatorAccess as _};
use crate::reports::{HeldOperation, Readable, TownReport};
use crate::settings_source::Source;

/// The pause between two reads.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  gastown town watch alice/mill
  gastown town watch alice/mill --until-idle --seconds 300
  GASTOWN_TOKEN=… gastown town watch mill --server https://gastown-control-plane.fly.dev --json";

/// The options of `gastown town watch`.
#[derive(Debug, Clone, Args)]
pub struct Watching {
    /// The town's id, the name of its machine, or USER/NAME. At a server the id, or the name alone.
    #[arg(value_name = "TOWN")]
    town: AnyTown,
    #[command(flatten)]
    at: ServerOptions,
    /// End when no operation is in flight.
    #[arg(long)]
    until_idle: bool,
    /// End after this time. With `--until-idle`, exit code 5 then means that an operation is still in flight.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// The place that is read.
enum Place {
    Database(Box<InDatabase>, TownId),
    Server(Remote, String),
}

/// The state of a town, the same from both places.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    status: String,
    health: String,
    /// Kind, step and failed attempts of the operation in flight.
    operation: Option<(String, String, u64)>,
}

pub(super) async fn run(source: &Source, options: Watching) -> anyhow::Result<()> {
    let place = if let Some(remote) = options.at.remote()? {
        let town = options.town.at_server(&remote).await?;
        Place::Server(remote, town)
    } else {
        let town = options.town.in_database()?;
        let access = InDatabase::new(database::open(source).await?, actor(source));
        let town = town.resolve(&access).await?;
        Place::Database(Box::new(access), town)
    };
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut shown = None;
    loop {
        let seen = place.look().await?;
        if shown.as_ref() != Some(&seen) {
            show(&seen, options.json)?;
        }
        if seen.is_destroyed() || (options.until_idle && seen.operation.is_none()) {
            return Ok(());
        }
        shown = Some(seen);
        let next = Instant::now() + POLL_INTERVAL;
        if deadline.is_some_and(|deadline| deadline < next) {
            return if options.until_idle {
                Err(CodedError::NotInTime("an operation is still in flight".to_owned()).into())
            } else {
                Ok(())
            };
        }
        tokio::time::sleep_until(next).await;
    }
}

impl Place {
    async fn look(&self) -> anyhow::Result<Seen> {
        match self {
            Self::Database(access, town) => Ok(Seen::of_rows(&access.town(*town).await?)),
            Self::Server(remote, town) => loop {
                match remote.query("getTownStatus", &json!({ "townId": town })).await {
                    Ok(report) => return Ok(Seen::of_report(&report)),
                    Err(RemoteError::Refused { reason, .. }) if reason == "town_not_found" => {
                        return Ok(Seen::destroyed());
                    }
                    // A server that restarts answers again soon.
                    Err(RemoteError::NoAnswer(_)) => tokio::time::sleep(POLL_INTERVAL).await,
                    Err(error) => return Err(error.into()),
                }
            },
        }
    }
}

impl Seen {
    fn of_rows(found: &TownReport) -> Self {
        let operation = found.operation.as_ref().map(|operation| match operation {
            Readable::Read(HeldOperation { operation, .. }) => {
                let step = operation.step.as_deref().unwrap_or("started");
                (plain(&operation.kind), plain(step), u64::from(operation.attempt))
            }
            Readable::Unreadable(_) => ("unreadable".to_owned(), "-".to_owned(), 0),
        });
        let health = found.health.read().map_or("unreadable", |health| health.state.as_str());
        Self { status: plain(&found.town.status), health: plain(health), operation }
    }

    fn of_report(report: &Value) -> Self {
        let text = |pointer: &str| report.pointer(pointer).and_then(Value::as_str).map(plain);
        let operation = text("/operation/kind").map(|kind| {
            let attempt = report.pointer("/operation/attempt").and_then(Value::as_u64).unwrap_or_default();
            (kind, text("/operation/step").unwrap_or_else(|| "started".to_owned()), attempt)
        });
        let (status, health) = (text("/status").unwrap_or_default(), text("/health/state"));
        Self { status, health: health.unwrap_or_else(|| "unknown".to_owned()), operation }
    }

    /// Returns the state of a town that a server no longer knows.
    fn destroyed() -> Self {
        Self { status: TownStatus::Destroyed.to_string(), health: "unknown".to_owned(), operation: None }
    }

    fn is_destroyed(&self) -> bool {
        self.status == TownStatus::Destroyed.as_str() && self.operation.is_none()
    }
}

fn show(seen: &Seen, as_json: bool) -> anyhow::Result<()> {
    let at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let Seen { status, health, operation } = seen;
    if as_json {
        let operation =
            operation.as_ref().map(|(kind, step, attempt)| json!({ "kind": kind, "step": step, "attempt": attempt }));
        return Ok(say(json!({ "at": at, "status": status, "health": health, "operation": operation }))?);
    }
    let doing = match operation {
        None => String::new(),
        Some((kind, step, 0)) => format!(", {kind}: {step}"),
        Some((kind, step, attempt)) => format!(", {kind}: {step}, {attempt} failed attempts"),
    };
    Ok(say(format!("{at}  {status}, health {health}{doing}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_a_server_are_read_as_rows_are() {
        let operation = json!({ "kind": "stop", "step": "power_off", "attempt": 2 });
        let report = json!({ "status": "running", "health": { "state": "healthy" }, "operation": operation });
        let seen = Seen::of_report(&report);
        assert_eq!((seen.status.as_str(), seen.health.as_str()), ("running", "healthy"));
        assert_eq!(seen.operation, Some(("stop".to_owned(), "power_off".to_owned(), 2)));
        let idle = Seen::of_report(&json!({ "status": "destroyed", "operation": null }));
        assert!(idle.is_destroyed() && Seen::destroyed().is_destroyed() && !seen.is_destroyed());
    }
}
