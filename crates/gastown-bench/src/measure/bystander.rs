//! A user who reads its town all the time, to see what others notice of a load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::time::{Instant, sleep, timeout};

use super::http1::Connection;
use super::latencies::{Latencies, number};

/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(10);
/// The most that is waited for an answer. A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running bystander. It has a thread of its own, because the threads of the load are busy.
pub(crate) struct Bystander {
    is_stopping: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Observed>>,
}

/// The requests of a bystander, in their order.
#[derive(Debug, Default)]
pub(crate) struct Observed(Vec<Sample>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    sent: Instant,
    latency: Duration,
    is_answered: bool,
}

impl Bystander {
    /// Sends a request again and again on one connection. An answer that is not 200 counts as a failure, and so does a closed
    /// connection.
    pub(crate) fn start(address: SocketAddr, request: String) -> Self {
        Self::start_with(address, request, true)
    }

    /// Sends each request on a new connection, as probes do.
    pub(crate) fn start_connecting(address: SocketAddr, request: String) -> Self {
        Self::start_with(address, request, false)
    }

    fn start_with(address: SocketAddr, request: String, keeps_connection: bool) -> Self {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&is_stopping);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.context("failed to start a runtime")?;
            Ok(runtime.block_on(observe(address, &request, keeps_connection, &stopping)))
        });
        Self { is_stopping, thread }
    }

    /// Ends after the request in flight.
    pub(crate) async fn stop(self) -> anyhow::Result<Observed> {
        self.is_stopping.store(true, Ordering::Relaxed);
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await.context("a thread was not joined")?;
        joined.map_err(|_| anyhow!("a bystander panicked"))?
    }
}

async fn observe(address: SocketAddr, request: &str, keeps_connection: bool, is_stopping: &AtomicBool) -> Observed {
    let (mut observed, mut connection) = (Observed::default(), None);
    while !is_stopping.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let answered = timeout(TIMEOUT, send(address, &mut connection, request)).await;
        let is_answered = matches!(answered, Ok(Ok(200)));
        if !keeps_connection || !matches!(answered, Ok(Ok(_))) {
            connection = None;
        }
        observed.0.push(Sample { sent, latency: sent.elapsed(), is_answered });
        sleep(PAUSE).await;
    }
    observed
}

async fn send(address: SocketAddr, connection: &mut Option<Connection>, request: &str) -> anyhow::Result<u16> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(address).await?),
    };
    Ok(connection.send(request.as_bytes()).await?.status)
}

impl Observed {
    /// Returns the latencies of all requests, also of those that failed.
    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::new(self.0.iter().map(|sample| sample.latency).collect())
    }

    pub(crate) fn failures(&self) -> usize {
        self.0.iter().filter(|sample| !sample.is_answered).count()
    }

    /// Returns the share of the requests that were answered. It is 0 without requests.
    pub(crate) fn success(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { 1.0 - number(self.failures()) / number(self.0.len()) }
    }

    /// Returns the time from `begin` until requests were answered within `fast` again, for good.
    pub(crate) fn recovered_after(&self, begin: Instant, fast: Duration) -> Duration {
        let is_bad = |sample: &&Sample| !sample.is_answered || sample.latency > fast;
        let ends = self.0.iter().filter(is_bad).map(|sample| sample.sent + sample.latency);
        ends.max().map_or(Duration::ZERO, |end| end.saturating_duration_since(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_ends_with_the_last_slow_or_failed_request() {
        let begin = Instant::now();
        let sample = |at: u64, latency: u64, is_answered| Sample {
            sent: begin + Duration::from_millis(at),
            latency: Duration::from_millis(latency),
            is_answered,
        };
        let fast = Duration::from_millis(50);
        let observed =
            Observed(vec![sample(0, 10, true), sample(100, 80, true), sample(200, 5, false), sample(300, 5, true)]);
        assert_eq!(observed.recovered_after(begin, fast), Duration::from_millis(205));
        assert_eq!((observed.failures(), observed.latencies().count()), (1, 4));
        assert!((observed.success() - 0.75).abs() < 1e-9);
        assert_eq!(Observed(vec![sample(0, 10, true)]).recovered_after(begin, fast), Duration::ZERO);
        assert!(Observed::default().success().abs() < 1e-9);
    }
}
