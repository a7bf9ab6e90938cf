//! The background tasks: finish what others left behind, compare settled towns with Fly, look for orphans, and log the
//! queues for Fly's rate limits.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::WorkerId;
use gastown_fly::Fly;
use gastown_orchestrator::{DriftDetector, OrphanSweeper, Ports, Provider, Settings, TownService, Workers};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::queue_stats;

/// How long a task that panicked is left alone before it begins again: long enough not to fill a log with it.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Its parts, not yet at work.
pub(crate) struct Background {
    service: TownService,
    /// The way to Fly that lets those pass who wait.
    unasked: Provider,
    drift_detector: DriftDetector,
    orphans: OrphanSweeper,
    fly: Fly,
}

impl Background {
    pub(crate) fn new(service: &TownService, ports: &Ports, settings: Settings, worker: &WorkerId, fly: Fly) -> Self {
        let settings = Arc::new(settings);
        Self {
            service: service.clone(),
            unasked: ports.provider.clone(),
            drift_detector: DriftDetector::new(ports.clone(), Arc::clone(&settings), worker.clone()),
            orphans: OrphanSweeper::new(ports.clone(), settings, worker.clone()),
            fly,
        }
    }

    /// Sets them to work, each in a task of its own, until `stop` is cancelled. The tracker is closed: it ends with them.
    pub(crate) fn start(self, stop: &CancellationToken) -> TaskTracker {
        let Self { service, unasked, drift_detector, orphans, fly } = self;
        let (drift_detector, orphans) = (Arc::new(drift_detector), Arc::new(orphans));
        let tasks = TaskTracker::new();
        tasks.spawn(supervised("workers", AFTER_PANIC, stop.clone(), move |stop| {
            let workers = Workers::new(service.clone()).removing_through(unasked.clone());
            async move { workers.run(stop).await }
        }));
        tasks.spawn(supervised("inspection", AFTER_PANIC, stop.clone(), move |stop| {
            let drift_detector = Arc::clone(&drift_detector);
            async move { drift_detector.run(stop).await }
        }));
        tasks.spawn(supervised("orphans", AFTER_PANIC, stop.clone(), move |stop| {
            let orphans = Arc::clone(&orphans);
            async move { orphans.run(stop).await }
        }));
        tasks.spawn(supervised("queue stats", AFTER_PANIC, stop.clone(), move |stop| {
            let fly = fly.clone();
            queue_stats::log_queues(move || fly.queue_stats(), queue_stats::EVERY, stop)
        }));
        tasks.close();
        tasks
    }
}

/// Runs a task that ends when it is stopped. A panic in it is a bug, and no reason to do without it from then on: it
/// begins again after a pause.
async fn supervised<F>(
    name: &'static str,
    pause: Duration,
    stop: CancellationToken,
    begin: impl Fn(CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(begin(stop.clone())).await {
        tracing::error!(task = name, error = &error as &dyn std::error::Error, "a background task panicked");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A task that panics until it was begun so often, then tells that it is at work.
    fn panicking(times: u32) -> (Arc<AtomicU32>, CancellationToken, impl Fn(CancellationToken) -> BoxedTask) {
        let (tries, at_work) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counter, signal) = (Arc::clone(&tries), at_work.clone());
        let begin = move |stop: CancellationToken| -> BoxedTask {
            let (counter, signal) = (Arc::clone(&counter), signal.clone());
            Box::pin(async move {
                assert!(counter.fetch_add(1, Ordering::SeqCst) >= times, "as it is told to");
                signal.cancel();
                stop.cancelled().await;
            })
        };
        (tries, at_work, begin)
    }

    type BoxedTask = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    #[tokio::test]
    async fn a_task_that_panics_begins_again_and_ends_when_it_is_stopped() {
        let stop = CancellationToken::new();
        let (tries, at_work, begin) = panicking(1);
        let task = tokio::spawn(supervised("test", Duration::from_millis(1), stop.clone(), begin));
        at_work.cancelled().await;
        stop.cancel();
        task.await.unwrap();
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_pause() {
        let stop = CancellationToken::new();
        let (tries, _, begin) = panicking(u32::MAX);
        let task = tokio::spawn(supervised("test", Duration::from_secs(3600), stop.clone(), begin));
        while tries.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        task.await.unwrap();
        assert_eq!(tries.load(Ordering::SeqCst), 1);
    }
}
