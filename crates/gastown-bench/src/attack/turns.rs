//! Row 4: one user creates and destroys towns all the time in a shared app, and another creates one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::lifecycle::ready_clients;
use crate::measure::http1::Connection;
use crate::measure::latencies::number;
use crate::measure::refusal::accepted;
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, Fly, FlySetup, Limits, ServerSetup, Timing};

use super::stage::Stage;

const FLY: FlySetup = FlySetup { timing: Timing::Fly, latency_ms: None, limits: Limits::Fly };
/// The time in which the attacker fills the queues.
const HEAD_START: Duration = Duration::from_secs(2);
/// Between a refusal and the next request of a client.
const PAUSE: Duration = Duration::from_millis(100);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// `MAX_OPERATIONS_PER_USER`, which requests at the same time may exceed by a few.
const MAX_OPERATIONS: f64 = 20.0 + 4.0;

/// The counters of all clients of the attacker.
#[derive(Default)]
struct Shared {
    created: AtomicUsize,
    refused: AtomicUsize,
}

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let database = stage.postgres.create("attack_turns").await?;
    let tokens = ready_clients(&database, 0, 2).await?;
    let fly = Fly::start(FLY).await?;
    let server = ServerSetup::new(&database, &fly).start().await?;
    let (mut attackers, shared) = (JoinSet::new(), Arc::new(Shared::default()));
    for _ in 0..stage.scale.creators {
        attackers.spawn(create_and_destroy(server.address, tokens[0].clone(), Arc::clone(&shared)));
    }
    sleep(HEAD_START).await;
    let begun = Instant::now();
    let mut other = Connection::open(server.address).await?;
    let (input, mut in_flight) = (json!({ "townName": "other" }), 0);
    let created = {
        let create = trpc::mutate(&mut other, "createTown", &input, &tokens[1]);
        let watched = async {
            loop {
                in_flight = in_flight.max(operations(&database).await?);
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            town = create => town?,
            failed = watched => return failed,
        }
    };
    let elapsed = begun.elapsed();
    ensure!(created["status"] == "running", "the town does not run: {created}");
    while let Some(ended) = attackers.try_join_next() {
        ended.context("a client panicked")?.context("an attacker's request")?;
    }
    attackers.shutdown().await;
    server.stop().await?;
    let refused = shared.refused.load(Ordering::Relaxed);
    let most = stage.scale.bounds.create_seconds;
    Ok(vec![
        Check::new("create of another user", Unit::Seconds, elapsed.as_secs_f64(), Limit::AtMost(most)),
        Check::new("operations in flight", Unit::Count, number(in_flight), Limit::AtMost(MAX_OPERATIONS)),
        Check::new("operations refused with a time to wait", Unit::Count, number(refused), Limit::AtLeast(1.0)),
    ])
}

/// Creates and destroys towns. Ends only with an answer that is neither a success nor a refusal in its form.
async fn create_and_destroy(address: SocketAddr, token: String, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    loop {
        let name = format!("town-{}", shared.created.fetch_add(1, Ordering::Relaxed));
        let created = accepted(&mut connection, "createTown", &json!({ "townName": name }), &token).await?;
        let Some(town) = created else {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
            continue;
        };
        while accepted(&mut connection, "destroyTown", &json!({ "townId": town["townId"] }), &token).await?.is_none() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }
}

/// Returns the operations in flight of the attacker.
async fn operations(database: &Database) -> anyhow::Result<usize> {
    let query = "SELECT count(*) FROM gastown_operations o JOIN gastown_towns t ON t.id = o.town_id \
                 WHERE t.user_id = 'user-1'";
    usize::try_from(database.count(query).await?).context("a count is negative")
}
