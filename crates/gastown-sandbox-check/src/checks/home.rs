//! Calls of the sandbox to the control plane: heartbeats and new tokens.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::health::token_expiry;
use crate::home::{Home, Received};
use crate::probe::Probe;
use crate::report::Outcomes;
use crate::rules;

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
