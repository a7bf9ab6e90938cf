//! A control plane within the test process, which can shut down or crash.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gastown_server::{Config, ControlPlane};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The time-out of a shutdown that has nothing to wait for. One that waits takes `SHUTDOWN_SECONDS`, 25.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(20);

/// All logs of this workspace, and the warnings of other crates.
pub(crate) const DEBUG_LOG: &str = "warn,gastown=debug,gastown_server=debug,gastown_http=debug,gastown_orchestrator=debug,gastown_fly=debug,\
    gastown_sandbox=debug,gastown_persistence=debug,gastown_jwt=debug,gastown_secrets=debug";

/// A replica with its own runtime and log.
pub(crate) struct Replica {
    pub(crate) url: String,
    /// The URL of the metrics, if they have an address.
    pub(crate) metrics_url: Option<String>,
    /// The URL of the console, if it has an address.
    pub(crate) console_url: Option<String>,
    pub(crate) log: Log,
    runtime: Option<Runtime>,
    serving: JoinHandle<io::Result<()>>,
    stop: CancellationToken,
}

/// The log of a replica.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Returns the length so far, for [`Log::since`].
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Returns the log after this length.
    pub(crate) fn since(&self, len: usize) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()[len..]).into_owned()
    }

    /// Returns the errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.text().lines().filter(|line| is_error(line)).map(str::to_owned).collect()
    }

    /// Removes the errors from the log and returns them, so that expected errors do not fail the test later.
    pub(crate) fn take_errors(&self) -> Vec<String> {
        let mut log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log).into_owned();
        let (errors, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| is_error(line));
        *log = others.into_iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        errors.into_iter().map(str::to_owned).collect()
    }

    /// Asserts that there are errors, and that all of them match.
    pub(crate) fn take_only(&self, expected: &str) {
        let errors = self.take_errors();
        assert!(
            !errors.is_empty() && errors.iter().all(|line| line.contains(expected)),
            "not only {expected:?}: {errors:?}"
        );
    }
}

fn is_error(line: &str) -> bool {
    line.contains(" ERROR ")
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Replica {
    pub(crate) async fn start(config: Config, listener: TcpListener, filter: &str) -> Self {
        let log = Log::default();
        let runtime = runtime(&log, filter);
        let stop = CancellationToken::new();
        let (ready, url) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        let serving = runtime.spawn(async move {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let plane = ControlPlane::with_listener(config, listener).await.map_err(io::Error::other)?;
            let _ = ready.send((plane.local_url(), plane.metrics_url(), plane.console_url()));
            plane.serve(stopped).await
        });
        let (url, metrics_url, console_url) = url.await.expect("the replica does not start");
        Self { url, metrics_url, console_url, log, runtime: Some(runtime), serving, stop }
    }

    /// Crashes the replica: its tasks are dropped.
    pub(crate) async fn crash(mut self) {
        let runtime = self.runtime.take();
        let ended = move || runtime.map(|runtime| runtime.shutdown_timeout(SHUTDOWN));
        tokio::task::spawn_blocking(ended).await.unwrap();
    }

    /// Shuts the replica down.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let served = tokio::time::timeout(SHUTDOWN, &mut self.serving).await;
        served.expect("the shutdown hangs").expect("the replica panicked").expect("the listener failed");
    }
}

impl Drop for Replica {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its replicas logged")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.text();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the replica at {}:\n{}", self.url, lines[lines.len().saturating_sub(150)..].join("\n"));
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns a runtime whose threads log to `log`.
fn runtime(log: &Log, filter: &str) -> Runtime {
    let writer = log.clone();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let logs = tracing::Dispatch::new(logs);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        // The guard lives until the thread ends.
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&logs)))
        .build()
        .unwrap()
}
