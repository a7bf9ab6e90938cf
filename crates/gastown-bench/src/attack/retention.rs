//! Row 11: what towns leave behind that were created and destroyed.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::lifecycle::ready_clients;
use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, ServerSetup};

use super::stage::{Stage, create_town, id_of};

/// Users who create and destroy at a time.
const USERS: usize = 4;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// For removals that go on after their answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REMOVAL_SECONDS: f64 = 10.0;

/// Counts the remains of destroyed towns: events, configurations and rigs.
const LEFT: &str = "SELECT (SELECT count(*) FROM gastown_town_events e JOIN gastown_towns t ON t.id = e.town_id \
    WHERE t.status = 'destroyed') + (SELECT count(*) FROM gastown_towns WHERE status = 'destroyed' AND config IS NOT NULL) \
    + (SELECT count(*) FROM gastown_rigs r JOIN gastown_towns t ON t.id = r.town_id WHERE t.status = 'destroyed')";
const EVENTS_OF_LIVE_TOWNS: &str = "SELECT count(*) FROM gastown_town_events e JOIN gastown_towns t ON t.id = e.town_id \
    WHERE t.status <> 'destroyed'";

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let database = stage.postgres.create("attack_retention").await?;
    let tokens = ready_clients(&database, 0, USERS + 1).await?;
    let settings = vec![("RETENTION_SWEEP_SECONDS", "1".to_owned())];
    let server = ServerSetup { settings, ..ServerSetup::new(&database, &stage.fly) }.start().await?;
    let (mut cycles, each) = (JoinSet::new(), stage.scale.cycles / USERS);
    for token in &tokens[..USERS] {
        let (address, token) = (server.address, token.clone());
        cycles.spawn(async move { create_and_destroy(Connection::open(address).await?, &token, each).await });
    }
    while let Some(ended) = cycles.join_next().await {
        ended.context("a client panicked")??;
    }
    create_town(&server, &tokens[USERS], "live").await?;
    drain(&database).await?;
    let (left, live) = (count(&database, LEFT).await?, count(&database, EVENTS_OF_LIVE_TOWNS).await?);
    let towns = USERS * each;
    ensure!(left >= 3 * towns && live > 0, "{towns} destroyed towns left {left} rows, a live one {live} events");

    make_old(&database).await?;
    let begun = Instant::now();
    let mut remaining = left;
    while remaining > 0 && begun.elapsed().as_secs_f64() < 2.0 * MAX_REMOVAL_SECONDS {
        sleep(POLL_INTERVAL).await;
        remaining = count(&database, LEFT).await?;
    }
    let (removed, kept) = (begun.elapsed().as_secs_f64(), count(&database, EVENTS_OF_LIVE_TOWNS).await?);
    server.stop().await?;
    Ok(vec![
        Check::new("towns created and destroyed", Unit::Count, number(towns), Limit::AtLeast(number(towns))),
        Check::new("rows, configurations and rigs left", Unit::Count, number(remaining), Limit::AtMost(0.0)),
        Check::new("removal", Unit::Seconds, removed, Limit::AtMost(MAX_REMOVAL_SECONDS)),
        Check::new("recent events kept", Unit::Count, number(kept), Limit::AtLeast(number(live))),
    ])
}

async fn create_and_destroy(mut connection: Connection, token: &str, cycles: usize) -> anyhow::Result<()> {
    for number in 0..cycles {
        let rigs = json!([{ "name": "app", "repo_url": "https://github.com/octocat/hello-world" }]);
        let input = json!({
            "townName": format!("town-{number}"), "idempotencyKey": format!("key-{number}"), "config": { "rigs": rigs },
        });
        let town = id_of(&trpc::mutate(&mut connection, "createTown", &input, token).await?)?;
        trpc::mutate(&mut connection, "destroyTown", &json!({ "townId": town }), token).await?;
    }
    Ok(())
}

/// Waits until no operation is in flight.
async fn drain(database: &Database) -> anyhow::Result<()> {
    let begun = Instant::now();
    while count(database, "SELECT count(*) FROM gastown_operations").await? > 0 {
        ensure!(begun.elapsed() < DRAIN_TIMEOUT, "operations are still in flight after {DRAIN_TIMEOUT:?}");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Moves the history of destroyed towns beyond every retention.
async fn make_old(database: &Database) -> anyhow::Result<()> {
    let destroyed = "SELECT id FROM gastown_towns WHERE status = 'destroyed'";
    database
        .execute(&format!(
            "BEGIN; UPDATE gastown_town_events SET at = at - interval '100 days' WHERE town_id IN ({destroyed}); \
             UPDATE gastown_towns SET destroyed_at = destroyed_at - interval '100 days' WHERE status = 'destroyed'; COMMIT"
        ))
        .await
}

async fn count(database: &Database, query: &str) -> anyhow::Result<usize> {
    usize::try_from(database.count(query).await?).context("a count is negative")
}
