//! Threads for connections alone.

use std::{io, sync::Arc, thread::available_parallelism};

use axum::Router;
use gastown_domain::ports::Metrics;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

use super::{ConnectionLimits, serve};

/// The least number of threads. With one, a single large answer would delay all others.
const MIN_THREADS: usize = 2;

/// A task that another runtime wakes, such as one whose handler has ended, is in the global queue. Every second task is taken
/// from there. Otherwise it would wait for long while there are requests to read.
const GLOBAL_QUEUE_INTERVAL: u32 = 2;

/// Threads that read requests, refuse some of them and write answers. Dropping them ends every connection.
///
/// There are half as many as processors, and at least two. Combine them with
/// [`HandlerRuntime::on`](crate::HandlerRuntime::on), so that admitted calls do not wait behind refusals.
pub struct ConnectionThreads(Option<Runtime>);

impl ConnectionThreads {
    /// Starts the threads.
    ///
    /// Errors: the operating system has no thread.
    pub fn start() -> io::Result<Self> {
        let processors = available_parallelism().map_or(1, usize::from);
        let threads = Builder::new_multi_thread()
            .worker_threads((processors / 2).max(MIN_THREADS))
            .thread_name("connections")
            .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
            .enable_all()
            .build()?;
        Ok(Self(Some(threads)))
    }

    /// Serves as [`serve`](super::serve) does, on these threads.
    ///
    /// Errors: the listener cannot be used there.
    pub async fn serve(
        &self,
        listener: TcpListener,
        app: Router,
        limits: ConnectionLimits,
        metrics: Arc<dyn Metrics>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Some(threads) = &self.0 else { return Ok(()) };
        let listener = listener.into_std()?;
        let serving = async move { serve(TcpListener::from_std(listener)?, app, limits, metrics, stop).await };
        threads.spawn(serving).await.map_err(io::Error::other)?
    }
}

impl Drop for ConnectionThreads {
    fn drop(&mut self) {
        // Waiting for the threads would block a task.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
