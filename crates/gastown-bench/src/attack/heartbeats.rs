//! Row 8: a crowd of sandboxes with the key of one town.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gastown_domain::ports::TownKeys as _;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep};

use crate::measure::crowd::Crowd;
use crate::measure::latencies::number;
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, seed, town_keys};

use super::stage::{OneOf, Stage};

/// The town, whose owner is not the bystander.
const TOWN: usize = 50;
/// `SANDBOX_CALLS_PER_MINUTE`, which is also the most at once.
const CALLS_PER_MINUTE: f64 = 60.0;
/// The pause between two writes of the heartbeats that were accepted.
const WRITE_EVERY: f64 = 1.0;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let town = seed::town_id(TOWN);
    let key = town_keys()?.key_of(town.parse().context("a town's id is invalid")?);
    let mut request = String::new();
    trpc::write_home_call(&mut request, "heartbeat", &town, key.expose_secret());
    let before = stage.database.count(&last_heartbeat(&town)).await?;
    let (begun, until) = (Instant::now(), Instant::now() + stage.scale.phase);
    let crowd = Crowd { address: stage.server.address, clients: stage.scale.heartbeats, until, interval: None };
    let bystander = stage.bystander();
    let requests = OneOf(Arc::new([request]));
    let (tally, writes) = tokio::join!(crowd.send(&requests), writes(&stage.database, &town, before, until));
    let (tally, writes, observed) = (tally?, writes?, bystander.stop().await?);
    ensure!(tally.answered() > 0 && writes > 0, "no heartbeat was recorded: {:?}", tally.example());
    let seconds = begun.elapsed().as_secs_f64();
    let most = CALLS_PER_MINUTE * (1.0 + seconds / 60.0);
    let mut checks = vec![
        Check::new("heartbeats accepted", Unit::Count, number(tally.answered()), Limit::AtMost(most.ceil())),
        Check::new("heartbeats refused", Unit::Count, number(tally.refused()), Limit::AtLeast(1.0)),
        Check::new("other answers", Unit::Count, number(tally.broken()), Limit::AtMost(0.0)),
        Check::new("writes", Unit::Count, number(writes), Limit::AtMost(1.0 + (seconds / WRITE_EVERY).ceil())),
    ];
    checks.extend(stage.judge(&observed));
    Ok(checks)
}

/// Returns the query of the time of a town's last heartbeat.
fn last_heartbeat(town: &str) -> String {
    format!(
        "SELECT coalesce((extract(epoch FROM last_heartbeat_at) * 1000)::bigint, 0) FROM gastown_towns WHERE id = '{town}'"
    )
}

/// Counts the different times of the last heartbeat after this one, until a moment.
async fn writes(database: &Database, town: &str, before: i64, until: Instant) -> anyhow::Result<usize> {
    let (query, mut times) = (last_heartbeat(town), vec![before]);
    while Instant::now() < until {
        sleep(POLL_INTERVAL).await;
        times.push(database.count(&query).await?);
    }
    times.dedup();
    Ok(times.len() - 1)
}
