//! Calls of the sandbox to the control plane: heartbeats and new tokens.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::health::token_expiry;
use crate::home::{Home, Received};
use crate::probe::Probe;
use crate::report::Outcomes;
use crate::rules;

/// The fields of a heartbeat about the sandbox.
const REPORTED: [&str; 5] = ["gtRunning", "doltRunning", "activePolecats", "diskUsedBytes", "lastR2SyncAt"];
/// The largest numbers that the control plane accepts.
const MAX_POLECATS: u64 = 100_000;
const MAX_DISK_BYTES: u64 = (1 << 53) - 1;
/// The error of a sandbox's clock that is no fault.
const CLOCK_ERROR: TimeDelta = TimeDelta::minutes(1);
/// The pause between two looks at the sandbox's token.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) async fn check(probe: &Probe<'_>, home: &Home, outcomes: &mut Outcomes) {
    heartbeats(probe, home, outcomes).await;
    refresh(probe, home, outcomes).await;
}

async fn heartbeats(probe: &Probe<'_>, home: &Home, outcomes: &mut Outcomes) -> Option<()> {
    let limit = probe.options.limits.home;
    let first = home.heartbeat(1, limit).await;
    let first = outcomes.check(&rules::HEARTBEAT, first.ok_or_else(|| none_in(limit)))?;
    let keyed = outcomes.check(&rules::HEARTBEAT_KEY, has_key(&first));
    let named = outcomes.check(&rules::HEARTBEAT_BODY, names_town(&first, probe));
    keyed.and(named)?;
    let body = first.body.as_ref().and_then(Value::as_object);
    match body.filter(|body| REPORTED.iter().any(|name| body.contains_key(*name))) {
        Some(body) => drop(outcomes.check(&rules::HEARTBEAT_REPORT, report(body, home.now()))),
        None => {
            outcomes.skip(&[&rules::HEARTBEAT_REPORT], "a heartbeat says nothing of the sandbox, which is optional");
        }
    }
    // The first one was answered with 503.
    let second = home.heartbeat(2, limit).await;
    outcomes.check(&rules::HEARTBEAT_AGAIN, second.map(drop).ok_or_else(|| none_in(limit)))
}

async fn refresh(probe: &Probe<'_>, home: &Home, outcomes: &mut Outcomes) -> Option<()> {
    let limit = probe.options.limits.home;
    let call = home.refresh(limit).await;
    let call = outcomes.check(&rules::REFRESH, call.ok_or_else(|| none_in(limit)))?;
    outcomes.check(&rules::REFRESH_CALL, has_key(&call).and(names_town(&call, probe)))?;
    let answered = home.new_expiry()?;
    if token_expiry(probe).await.is_none() {
        outcomes.skip(&[&rules::REFRESH_USED], "GET /health has no tokenExpiresAt, which is optional");
        return None;
    }
    let deadline = Instant::now() + limit;
    loop {
        let shown = token_expiry(probe).await;
        if shown == Some(answered) {
            return outcomes.check(&rules::REFRESH_USED, Ok(()));
        }
        if Instant::now() >= deadline {
            let seen = format!("tokenExpiresAt is {shown:?}, the new token expires at {answered}");
            return outcomes.check(&rules::REFRESH_USED, Err(seen));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Checks what a heartbeat says of the sandbox, as the control plane does. A field that is null is as one that is left out.
fn report(body: &Map<String, Value>, now: DateTime<Utc>) -> Result<(), String> {
    for name in REPORTED {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let expected = match name {
            "gtRunning" | "doltRunning" => (!value.is_boolean()).then_some("a boolean"),
            "activePolecats" => (!is_at_most(value, MAX_POLECATS)).then_some("a whole number up to 100000"),
            "diskUsedBytes" => (!is_at_most(value, MAX_DISK_BYTES)).then_some("a whole number below 2^53"),
            _ => {
                let at = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
                at.is_none_or(|at| at > now + CLOCK_ERROR).then_some("an RFC 3339 time that is not in the future")
            }
        };
        if let Some(expected) = expected {
            return Err(format!("{name} was {value}, expected {expected}"));
        }
    }
    Ok(())
}

fn is_at_most(value: &Value, max: u64) -> bool {
    value.as_u64().is_some_and(|number| number <= max)
}

fn has_key(call: &Received) -> Result<(), String> {
    if call.has_key { Ok(()) } else { Err("x-internal-api-key is missing or wrong".to_owned()) }
}

fn names_town(call: &Received, probe: &Probe<'_>) -> Result<(), String> {
    let town = probe.town.id.to_string();
    let named = call.body.as_ref().and_then(|body| body.get("townId")?.as_str()) == Some(town.as_str());
    if named { Ok(()) } else { Err(format!("the body was {}", call.shown)) }
}

fn none_in(limit: Duration) -> String {
    format!("no such call within {} s", limit.as_secs_f32())
}
