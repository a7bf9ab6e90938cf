//! Row 3: more connections than the process has file descriptors.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::measure::bystander::Bystander;
use crate::measure::http1::Connection;
use crate::measure::latencies::{millis, number};
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};
use crate::stage::ServerSetup;

use super::connections::{HEALTHZ, Lingering, connect, source, until_closed};
use super::stage::{Stage, User};

/// The connections of one attacker. One address cannot take all places.
const PER_ADDRESS: usize = 50;
/// Between the connections and the first measurement.
const SETTLE: Duration = Duration::from_millis(500);
/// A connection that had a place is kept for longer.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
const MAX_CREATE_SECONDS: f64 = 5.0;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let max_open_files = Some(stage.scale.max_open_files);
    let server = ServerSetup { max_open_files, ..ServerSetup::new(&stage.database, &stage.fly) }.start().await?;
    let mut user = Connection::open(server.address).await?;
    // The connection is taken only when its first request has been answered.
    user.send(HEALTHZ.as_bytes()).await?;

    let address = server.address;
    let mut attackers = attack(address, stage.scale.connections_to_few_files)?;
    sleep(SETTLE).await;
    let alive = Bystander::start_connecting(address, HEALTHZ.to_owned());
    let ready = Bystander::start_connecting(address, HEALTHZ.replace("healthz", "readyz"));
    let begun = Instant::now();
    let town = trpc::mutate(&mut user, "createTown", &json!({ "townName": "few" }), stage.token(User::Creator)).await?;
    let created = begun.elapsed();
    anyhow::ensure!(town["status"] == "running", "the town does not run: {town}");
    sleep(stage.scale.phase.saturating_sub(created)).await;
    let (alive, ready) = (alive.stop().await?, ready.stop().await?);
    attackers.shutdown().await;
    server.stop().await?;
    let mut checks = vec![Check::new(
        "create of another user",
        Unit::Seconds,
        millis(created) / 1_000.0,
        Limit::AtMost(MAX_CREATE_SECONDS),
    )];
    for (path, observed) in [("/healthz", alive), ("/readyz", ready)] {
        let longest = observed.latencies().percentile_ms(100);
        let name = |what: &str| format!("{what} of {path}");
        checks.push(Check::new(
            name("longest"),
            Unit::Milliseconds,
            longest,
            Limit::AtMost(stage.scale.bounds.probe_ms),
        ));
        checks.push(Check::new(name("failures"), Unit::Count, number(observed.failures()), Limit::AtMost(0.0)));
    }
    Ok(checks)
}

/// Opens silent connections, until the tasks are dropped.
fn attack(address: SocketAddr, connections: usize) -> anyhow::Result<JoinSet<()>> {
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        let from = source(u8::try_from(number / PER_ADDRESS)?);
        attackers.spawn(async move {
            // A connection that is refused at once stays closed. One that had a place takes the next one.
            while let Ok(socket) = connect(address, from).await {
                let opened = Instant::now();
                until_closed(socket, Lingering::Silent).await;
                if opened.elapsed() < REFUSED_WITHIN {
                    return;
                }
            }
        });
    }
    Ok(attackers)
}
