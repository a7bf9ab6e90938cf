//! Row 5: large answers that their clients hardly read.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::measure::http1::Connection;
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};

use super::stage::{Stage, User, judge_within};

/// The towns of the user, each with a configuration of 32 kB.
const TOWNS: usize = 50;
/// The lists in one answer. Together they have less than `MAX_ANSWER_BYTES`.
const BATCH: usize = 4;
const STATUS_200: &[u8; 12] = b"HTTP/1.1 200";
/// Between two bytes that a client reads.
const READ_INTERVAL: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// `MAX_UNREAD_BYTES_PER_USER` three times: the outputs, the texts that are made of them, and what reads keep in flight.
const MAX_GROWTH_MIB: f64 = 96.0;
/// The time that the server may take beyond its limit.
const SLACK: Duration = Duration::from_secs(5);
/// Connections of the server itself that may come and go meanwhile.
const OTHER_FILES: usize = 1;
/// The time in which the bystander connects.
const SETTLE: Duration = Duration::from_millis(500);
/// Large outputs delay a bystander for longer than other attacks, because each is written at once.
const BYSTANDER_FACTOR: f64 = 2.0;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let (user, token) = (User::SlowReader.id(), stage.token(User::SlowReader));
    let config = "jsonb_build_object('large', repeat('x', 32000))";
    let columns = "(id, user_id, town_name, sandbox_id, status, config, created_at)";
    let rows = format!(
        "SELECT gen_random_uuid(), '{user}', 'slow-' || n, 'slow-' || n, 'stopped', {config}, now() \
         FROM generate_series(1, {TOWNS}) AS n"
    );
    stage.database.execute(&format!("INSERT INTO gastown_towns {columns} {rows}")).await?;

    let request = trpc::batch_query("listTowns", BATCH, None, token);
    let bystander = stage.bystander();
    sleep(SETTLE).await;
    let (before, files) = (stage.server.memory_mib(), stage.server.open_files()?);
    stage.server.forget_peak()?;
    let (mut readers, begun) = (JoinSet::new(), Instant::now());
    for _ in 0..stage.scale.slow_readers {
        readers.spawn(read_slowly(stage.server.address, request.clone()));
    }
    let limit = stage.scale.times.write + SLACK;
    sleep(stage.scale.times.write / 2).await;
    let held = stage.server.open_files()?;
    ensure!(held > files + OTHER_FILES, "{held} files are open, and {files} were before the readers came");
    while stage.server.open_files()? > files + OTHER_FILES && begun.elapsed() < 2 * limit {
        sleep(POLL_INTERVAL).await;
    }
    let (dropped, observed) = (begun.elapsed(), bystander.stop().await?);
    let recovered = until_answered(stage.server.address, &request).await?;
    readers.shutdown().await;
    let growth = stage.server.peak_mib() - before;
    let mut checks = vec![
        Check::new("memory", Unit::Mebibytes, growth, Limit::AtMost(MAX_GROWTH_MIB)),
        Check::new("last reader dropped", Unit::Seconds, dropped.as_secs_f64(), Limit::AtMost(limit.as_secs_f64())),
        Check::new(
            "next answer to the user",
            Unit::Seconds,
            recovered.as_secs_f64(),
            Limit::AtMost(stage.scale.bounds.recovery_seconds),
        ),
    ];
    checks.extend(judge_within(&observed, BYSTANDER_FACTOR * stage.scale.bounds.bystander_ms));
    Ok(checks)
}

/// Requests an answer and reads a byte of it now and then. Ends at once if the server refuses it.
async fn read_slowly(address: SocketAddr, request: String) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4().context("failed to open a socket")?;
    socket.set_recv_buffer_size(4096).context("failed to configure a socket")?;
    let mut stream = socket.connect(address).await.context("failed to connect")?;
    stream.write_all(request.as_bytes()).await.context("failed to send a request")?;
    let mut status_line = [0; STATUS_200.len()];
    stream.read_exact(&mut status_line).await.context("no answer")?;
    if status_line != *STATUS_200 {
        return Ok(());
    }
    while stream.read(&mut [0; 1]).await.is_ok_and(|read| read > 0) {
        sleep(READ_INTERVAL).await;
    }
    Ok(())
}

/// Repeats the request until all of its calls are answered, and returns how long that took.
async fn until_answered(address: SocketAddr, request: &str) -> anyhow::Result<Duration> {
    let (begun, mut connection) = (Instant::now(), Connection::open(address).await?);
    loop {
        let answer = connection.send(request.as_bytes()).await?;
        if answer.status == 200 {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < 10 * SLACK, "the user gets no answer any more: {}", answer.status);
        sleep(POLL_INTERVAL).await;
    }
}
