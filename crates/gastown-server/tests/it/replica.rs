//! A control plane of its own within the process: it can be stopped in good order, or crash.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gastown_fly::RateLimiting;
use gastown_server::{Config, ControlPlane};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A shutdown that waits for nothing takes less, however busy the machine is; one that does takes `SHUTDOWN_SECONDS`, 25.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(20);

/// Our own words in full, other crates' warnings.
const LOG_FILTER: &str = "warn,gastown_server=debug,gastown_http=debug,gastown_orchestrator=debug,gastown_fly=debug,\
    gastown_sandbox=debug,gastown_persistence=debug,gastown_jwt=debug,gastown_secrets=debug";

/// One replica with a runtime and a log of its own.
pub(crate) struct Replica {
    pub(crate) url: String,
    pub(crate) log: Log,
    runtime: Option<Runtime>,
    serving: JoinHandle<io::Result<()>>,
    stop: CancellationToken,
}

/// What a replica has logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// How much it is so far, for [`Log::since`].
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// What was logged since it was that much.
    pub(crate) fn since(&self, len: usize) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()[len..]).into_owned()
    }

    /// What says that a human must act.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.text().lines().filter(|line| is_error(line)).map(str::to_owned).collect()
    }

    /// The same, taken out of the log: a test that provokes them looks at them, and nobody is alarmed later.
    pub(crate) fn take_errors(&self) -> Vec<String> {
        let mut log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log).into_owned();
        let (errors, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| is_error(line));
        *log = others.into_iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        errors.into_iter().map(str::to_owned).collect()
    }

    /// The errors were these, some at least, and no others.
    pub(crate) fn take_only(&self, told: &str) {
        let errors = self.take_errors();
        assert!(!errors.is_empty() && errors.iter().all(|line| line.contains(told)), "not only {told:?}: {errors:?}");
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
    pub(crate) async fn start(config: Config, pacing: RateLimiting, listener: TcpListener) -> Self {
        let log = Log::default();
        let runtime = runtime(&log);
        let stop = CancellationToken::new();
        let (ready, url) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        let serving = runtime.spawn(async move {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let plane = ControlPlane::with_listener(config, pacing, listener).await.map_err(io::Error::other)?;
            let _ = ready.send(plane.local_url());
            plane.serve(stopped).await
        });
        let url = url.await.expect("the replica does not start");
        Self { url, log, runtime: Some(runtime), serving, stop }
    }

    /// Ends as a crash would: no task goes beyond where it stands.
    pub(crate) async fn crash(mut self) {
        let runtime = self.runtime.take();
        let ended = move || runtime.map(|runtime| runtime.shutdown_timeout(SHUTDOWN));
        tokio::task::spawn_blocking(ended).await.unwrap();
    }

    /// Ends in good order.
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

/// Every thread of it logs to `log`, and no other does.
fn runtime(log: &Log) -> Runtime {
    let writer = log.clone();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(LOG_FILTER))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let logs = tracing::Dispatch::new(logs);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        // The thread's end is the guard's.
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&logs)))
        .build()
        .unwrap()
}
