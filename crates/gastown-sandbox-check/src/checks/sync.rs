//! Sync: complete, repeatable, with the time of this sync.

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::Clock;
use serde_json::Value;

use crate::probe::{Answer, Probe};
use crate::report::Outcomes;
use crate::rules;

pub(crate) async fn check(probe: &Probe<'_>, clock: &dyn Clock, outcomes: &mut Outcomes) -> Option<()> {
    let before = clock.now();
    let answer = probe.send(probe.sync()).await?;
    let first = outcomes.check(&rules::SYNC, synced_at(&answer))?;
    let skew = TimeDelta::from_std(probe.options.limits.clock_skew).unwrap_or_default();
    let fits = (before - skew..=clock.now() + skew).contains(&first);
    outcomes.check(&rules::SYNC_TIME, if fits { Ok(()) } else { Err(answer.shown()) })?;
    let answer = probe.send(probe.sync()).await?;
    let later = synced_at(&answer).and_then(|second| if second >= first { Ok(()) } else { Err(answer.shown()) });
    outcomes.check(&rules::SYNC_REPEAT, later)
}

fn synced_at(answer: &Answer) -> Result<DateTime<Utc>, String> {
    let body = answer.json(200)?;
    let time = body.get("syncedAt").and_then(Value::as_str).and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    time.map(|time| time.to_utc()).ok_or_else(|| format!("{} (expected an RFC 3339 time)", answer.shown()))
}
