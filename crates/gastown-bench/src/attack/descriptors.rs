//! Row 3: more connections than the process has file descriptors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

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
/// Between two probes until one is answered.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// The most that is waited for the first answer to a probe.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(60);
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
    let opened = Arc::new(AtomicUsize::new(0));
    let connections = stage.scale.connections_to_few_files;
    let mut attackers = attack(address, connections, &opened)?;
    until_opened(&opened, connections).await?;
    let first_answer = until_alive(address).await?;
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
    let (created, most) = (created.as_secs_f64(), stage.scale.bounds.probe_ms);
    let mut checks = vec![
        Check::new("create of another user", Unit::Seconds, created, Limit::AtMost(MAX_CREATE_SECONDS)),
        Check::new("first answer of /healthz", Unit::Milliseconds, millis(first_answer), Limit::AtMost(most)),
    ];
    for (path, observed) in [("/healthz", alive), ("/readyz", ready)] {
        let longest = observed.latencies().percentile_ms(100);
        let name = |what: &str| format!("{what} of {path}");
        checks.push(Check::new(name("longest"), Unit::Milliseconds, longest, Limit::AtMost(most)));
        checks.push(Check::new(name("failures"), Unit::Count, number(observed.failures()), Limit::AtMost(0.0)));
    }
    Ok(checks)
}

/// Waits until all connections of the attack are open, or in the queue of the system.
async fn until_opened(opened: &AtomicUsize, connections: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    while opened.load(Ordering::Relaxed) < connections {
        anyhow::ensure!(begun.elapsed() < ALIVE_TIMEOUT, "fewer than {connections} connections were opened");
        sleep(PROBE_INTERVAL).await;
    }
    Ok(())
}

/// Probes until an answer comes, and returns the time since the first probe. New connections may push a probe out while the
/// attack begins.
async fn until_alive(address: SocketAddr) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        let probe = async { anyhow::Ok(Connection::open(address).await?.send(HEALTHZ.as_bytes()).await?.status) };
        if timeout(ALIVE_TIMEOUT, probe).await.is_ok_and(|status| status.is_ok_and(|status| status == 200)) {
            return Ok(begun.elapsed());
        }
        anyhow::ensure!(begun.elapsed() < ALIVE_TIMEOUT, "/healthz is dead for {ALIVE_TIMEOUT:?}");
        sleep(PROBE_INTERVAL).await;
    }
}

/// Opens silent connections, until the tasks are dropped.
fn attack(address: SocketAddr, connections: usize, opened: &Arc<AtomicUsize>) -> anyhow::Result<JoinSet<()>> {
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        let from = source(u8::try_from(number / PER_ADDRESS)?);
        let count = Arc::clone(opened);
        attackers.spawn(async move {
            // A connection that is refused at once stays closed. One that had a place takes the next one.
            while let Ok(socket) = connect(address, from).await {
                count.fetch_add(1, Ordering::Relaxed);
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
