//! Row 2: connections that take a place and do nothing useful.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::measure::bystander::Bystander;
use crate::measure::latencies::number;
use crate::report::{Check, Limit, Unit};

use super::scale::Scale;
use super::stage::Stage;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DRIPPED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: bench\r\nx-slow: ";
pub(super) const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n";
/// The time that the server may take beyond a limit.
const SLACK: Duration = Duration::from_secs(3);
/// The time beyond a limit after which a connection counts as left open.
const PATIENCE: Duration = Duration::from_secs(15);

/// A way to take a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lingering {
    Silent,
    Dripping(Duration),
    Idle,
    HalfPreface,
}

/// Connections of one kind from one address.
struct Group {
    kind: Lingering,
    count: usize,
    from: IpAddr,
    limit: Duration,
}

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let address = stage.server.address;
    let bystander = stage.bystander();
    let probe = Bystander::start_connecting(address, HEALTHZ.to_owned());
    let mut running = JoinSet::new();
    for group in groups(stage.scale) {
        running.spawn(async move { linger(address, group).await });
    }
    let mut checks = Vec::new();
    while let Some(ended) = running.join_next().await {
        checks.extend(ended.context("a client panicked")??);
    }
    let (observed, probed) = (bystander.stop().await?, probe.stop().await?);
    let p99 = probed.latencies().percentile_ms(99);
    checks.push(Check::new("p99 of /healthz", Unit::Milliseconds, p99, Limit::AtMost(stage.scale.bounds.bystander_ms)));
    checks.push(Check::new("failures of /healthz", Unit::Count, number(probed.failures()), Limit::AtMost(0.0)));
    checks.extend(stage.judge(&observed));
    Ok(checks)
}

fn groups(scale: &Scale) -> [Group; 4] {
    let (head, idle) = (scale.times.head, scale.times.idle);
    [
        Group { kind: Lingering::Silent, count: scale.silent, from: source(0), limit: head },
        Group { kind: Lingering::Dripping(scale.drip_interval), count: scale.dripping, from: source(1), limit: head },
        Group { kind: Lingering::Idle, count: scale.idle, from: source(2), limit: idle },
        Group { kind: Lingering::HalfPreface, count: scale.prefaces, from: source(3), limit: head },
    ]
}

/// Returns an address of an attacker. One address has a limit of its own.
pub(super) fn source(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 1, number.saturating_add(1)).into()
}

/// Opens the connections of a group, and waits until the server has closed them.
async fn linger(address: SocketAddr, group: Group) -> anyhow::Result<Vec<Check>> {
    let Group { kind, count, from, limit } = group;
    let mut clients = JoinSet::new();
    for _ in 0..count {
        clients.spawn(async move {
            let (socket, begun) = (connect(address, from).await?, Instant::now());
            let closed = timeout(limit + PATIENCE, until_closed(socket, kind)).await;
            anyhow::Ok(closed.map(|begun_later| begun_later.unwrap_or(begun).elapsed()).ok())
        });
    }
    let (mut last, mut open) = (Duration::ZERO, 0);
    while let Some(ended) = clients.join_next().await {
        match ended.context("a client panicked")?? {
            Some(after) => last = last.max(after),
            None => open += 1,
        }
    }
    let name = kind.name();
    let most = (limit + SLACK).as_secs_f64();
    Ok(vec![
        Check::new(format!("{count} {name}, last closed"), Unit::Seconds, last.as_secs_f64(), Limit::AtMost(most)),
        Check::new(format!("{count} {name}, left open"), Unit::Count, number(open), Limit::AtMost(0.0)),
    ])
}

/// Opens a connection from one of our addresses.
pub(super) async fn connect(address: SocketAddr, from: IpAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4().context("failed to open a socket")?;
    socket.bind(SocketAddr::new(from, 0)).with_context(|| format!("failed to bind {from}"))?;
    socket.connect(address).await.with_context(|| format!("failed to connect from {from}"))
}

/// Takes a connection until the server closes it. Returns the time from which the limit counts, if it is not the start.
pub(super) async fn until_closed(mut socket: TcpStream, kind: Lingering) -> Option<Instant> {
    let begun = match kind {
        Lingering::Silent => None,
        Lingering::HalfPreface => {
            socket.write_all(&PREFACE[..10]).await.ok()?;
            None
        }
        Lingering::Idle => {
            socket.write_all(HEALTHZ.as_bytes()).await.ok()?;
            let _answer = socket.read(&mut [0; 4096]).await.ok()?;
            Some(Instant::now())
        }
        Lingering::Dripping(interval) => {
            drip(&mut socket, interval).await;
            None
        }
    };
    // A reset is an end too.
    let mut rest = Vec::new();
    let _end = socket.read_to_end(&mut rest).await;
    begun
}

/// Sends a head by the byte until the server closes the connection.
async fn drip(socket: &mut TcpStream, interval: Duration) {
    let (mut reading, mut writing) = socket.split();
    let send = async {
        for byte in DRIPPED.iter().chain(std::iter::repeat(&b'x')) {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(interval).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = send => {}
        _ = reading.read_to_end(&mut rest) => {}
    }
}

impl Lingering {
    const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent connections",
            Self::Dripping(_) => "heads by the byte",
            Self::Idle => "idle connections",
            Self::HalfPreface => "half prefaces of HTTP/2",
        }
    }
}
