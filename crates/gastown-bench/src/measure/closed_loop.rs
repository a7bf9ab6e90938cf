//! Load in a closed loop: each client sends its next request when the last one is answered.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::http1::Connection;
use super::latencies::{Latencies, millis, number};
use super::process_tree::cpu_time;
use super::random::Random;

/// The load of one phase.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) clients: usize,
    pub(crate) phase: Duration,
    /// The processes whose CPU time is measured: the server, then Postgres.
    pub(crate) processes: [u32; 2],
}

/// The result of a phase.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    pub(crate) per_second: f64,
    /// The CPU time of each process for one request, in milliseconds.
    pub(crate) cpu_ms: [f64; 2],
}

/// A writer of requests. It fills the buffer with the next request.
pub(crate) trait Requests: Clone + Send + 'static {
    fn write_next(&self, random: &mut Random, request: &mut String);
}

impl Load {
    /// Sends requests for the phase, after a warm-up of a fifth of it. Fails at the first answer that is not 200.
    pub(crate) async fn send(&self, requests: &impl Requests) -> anyhow::Result<Measured> {
        let begin = Instant::now() + self.phase / 5;
        let window = Window { begin, end: begin + self.phase };
        let mut clients = JoinSet::new();
        for seed in 1..=self.clients {
            clients.spawn(client(self.address, seed as u64, requests.clone(), window));
        }
        sleep_until(window.begin).await;
        let before = self.processes.map(cpu_time);
        sleep_until(window.end).await;
        let after = self.processes.map(cpu_time);
        let mut all = Vec::new();
        while let Some(ended) = clients.join_next().await {
            all.append(&mut ended.context("a client panicked")??);
        }
        ensure!(!all.is_empty(), "no request was answered within {:?}", self.phase);
        let answered = number(all.len());
        Ok(Measured {
            per_second: answered / self.phase.as_secs_f64(),
            cpu_ms: [0, 1].map(|at| millis(after[at].saturating_sub(before[at])) / answered),
            latencies: Latencies::new(all),
        })
    }
}

/// The time in which answers count.
#[derive(Debug, Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

async fn client(
    address: SocketAddr,
    seed: u64,
    requests: impl Requests,
    window: Window,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(address).await?;
    let (mut random, mut request) = (Random::seeded(seed), String::new());
    let mut latencies = Vec::with_capacity(1 << 14);
    loop {
        requests.write_next(&mut random, &mut request);
        let sent = Instant::now();
        let answer = connection.send(request.as_bytes()).await?;
        let text = || String::from_utf8_lossy(answer.body).into_owned();
        ensure!(answer.status == 200, "answered {}: {}", answer.status, text());
        let answered = Instant::now();
        if answered >= window.end {
            return Ok(latencies);
        }
        if answered >= window.begin {
            latencies.push(answered - sent);
        }
    }
}
