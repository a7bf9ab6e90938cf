//! Health: the right town, fast, also while another connection is idle.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::probe::{Answer, Probe};
use crate::report::Outcomes;
use crate::rules;

/// The pause between two looks at a sandbox that starts.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the sandbox is healthy, at most as long as a start may take. An answer stays known if the last look
/// gets none, as on a busy machine.
pub(crate) async fn until_healthy(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let deadline = Instant::now() + probe.options.limits.start;
    let mut answered = None;
    loop {
        let silence = match probe.fetch(&probe.get("health")).await {
            Ok(answer) => match is_ok(&answer) {
                Ok(()) => return outcomes.check(&rules::HEALTH, Ok(())),
                Err(seen) => {
                    answered = Some(seen);
                    None
                }
            },
            // An answer that is too large stays so.
            Err((rule, seen)) if *rule == rules::ANSWER_SIZE => {
                outcomes.fail(rule, seen);
                return None;
            }
            Err((_, seen)) => Some(seen),
        };
        if Instant::now() >= deadline {
            let seen: Vec<_> = answered.into_iter().chain(silence).collect();
            return outcomes.check(&rules::HEALTH, Err(seen.join("; later ")));
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn is_ok(answer: &Answer) -> Result<(), String> {
    if answer.json(200)?.get("status").and_then(Value::as_str) == Some("ok") { Ok(()) } else { Err(answer.shown()) }
}

pub(crate) async fn details(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let answer = probe.send(probe.get("health")).await?;
    let body = answer.json(200).unwrap_or_default();
    let town = probe.town.id.to_string();
    let same = body.get("townId").and_then(Value::as_str) == Some(town.as_str());
    outcomes.check(&rules::HEALTH_TOWN, if same { Ok(()) } else { Err(answer.shown()) });
    let limit = probe.options.limits.health;
    let slow = || format!("the answer took {} ms, at most {} are allowed", answer.took.as_millis(), limit.as_millis());
    outcomes.check(&rules::HEALTH_FAST, if answer.took <= limit { Ok(()) } else { Err(slow()) });
    match (body.get("tokenExpiresAt"), probe.town.token_expires_at) {
        (None, _) => outcomes.skip(&[&rules::TOKEN_EXPIRY], "the answer has no tokenExpiresAt, which is optional"),
        // The sandbox may have a new token already.
        (Some(given), first) => {
            let given = parse(given);
            let right = given.is_some_and(|given| first.is_none_or(|first| given >= first));
            outcomes.check(&rules::TOKEN_EXPIRY, if right { Ok(()) } else { Err(answer.shown()) });
        }
    }
    Some(())
}

/// Returns the expiry of the sandbox's current token, as it says.
pub(crate) async fn token_expiry(probe: &Probe<'_>) -> Option<DateTime<Utc>> {
    let answer = probe.send(probe.get("health")).await?;
    parse(answer.json(200).ok()?.get("tokenExpiresAt")?)
}

/// Parses an RFC 3339 time, in whole seconds as in a token.
fn parse(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc().trunc_subsecs(0))
}

/// Asks for health while a connection is open on which only half a request was sent.
pub(crate) async fn while_busy(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let idle = async {
        let mut stream = TcpStream::connect(probe.authority()?).await.ok()?;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: sandbox\r\n").await.ok()?;
        Some(stream)
    };
    let connect_timeout = probe.options.limits.calls.connect;
    let Ok(Some(idle)) = tokio::time::timeout(connect_timeout, idle).await else {
        outcomes.fail(&rules::ANSWERS, "a second connection was refused".to_owned());
        return None;
    };
    // Twice the limit, because a slow answer is a rule of its own.
    let answer = probe.fetch(&probe.get("health").within(probe.options.limits.health * 2)).await;
    drop(idle);
    outcomes.check(&rules::HEALTH_BUSY, answer.map_err(|(_, seen)| seen).and_then(|answer| is_ok(&answer)))
}
