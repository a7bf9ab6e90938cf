//! The background tasks of a process: workers, drift detection, health checks, heartbeats, idle stops, orphans, old history and
//! rollouts. The queues for Fly's limits are logged too.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{TownChangeFeed, WorkerId};
use gastown_orchestrator::{
    DriftDetector, HealthMonitor, HeartbeatWriter, IdleStopper, OrphanSweeper, Ports, Provider, Retention,
    RetentionPorts, RolloutDriver, Settings, Store, TownService, Workers,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause before a panicked task restarts, long enough not to flood the log.
const RESTART_DELAY: Duration = Duration::from_secs(5);

/// The background tasks, not started yet.
pub(crate) struct Background {
    service: TownService,
    /// The ports whose calls yield to those with a waiting caller.
    yielding: (Store, Provider),
    drift_detector: DriftDetector,
    monitor: HealthMonitor,
    heartbeats: HeartbeatWriter,
    idle: IdleStopper,
    orphans: OrphanSweeper,
    retention: Retention,
    rollouts: RolloutDriver,
    changes: Option<Arc<dyn TownChangeFeed>>,
    #[cfg(feature = "fly")]
    fly: Option<gastown_fly::Fly>,
    #[cfg(feature = "metrics")]
    gauges: Option<crate::figures::Gauges>,
}

impl Background {
    /// Returns the tasks of this service on these ports.
    pub(crate) fn new(
        service: &TownService,
        (ports, retention): (&Ports, RetentionPorts),
        settings: &Settings,
        worker: &WorkerId,
    ) -> Self {
        let shared = Arc::new(settings.clone());
        Self {
            service: service.clone(),
            yielding: (ports.store.clone(), ports.provider.clone()),
            drift_detector: DriftDetector::new(ports.clone(), Arc::clone(&shared)),
            monitor: HealthMonitor::new(service.clone(), ports.clone(), Arc::clone(&shared)),
            heartbeats: HeartbeatWriter::new(service, Arc::clone(&ports.store.registry)),
            idle: IdleStopper::new(service, ports.clone(), Arc::clone(&shared)),
            orphans: OrphanSweeper::new(ports.clone(), Arc::clone(&shared), worker.clone()),
            retention: Retention::new(retention, settings, worker.clone()),
            rollouts: RolloutDriver::new(ports.clone(), shared, worker.clone()),
            changes: None,
            #[cfg(feature = "fly")]
            fly: None,
            #[cfg(feature = "metrics")]
            gauges: None,
        }
    }

    /// Also sets the gauges of metrics.
    #[cfg(feature = "metrics")]
    pub(crate) fn setting_gauges(self, gauges: Option<crate::figures::Gauges>) -> Self {
        Self { gauges, ..self }
    }

    /// Also hears of changes of towns by this database. Without one, watched towns are read every second.
    #[cfg(feature = "postgres")]
    pub(crate) fn hearing_of_changes(self, database: Option<&gastown_persistence::Database>) -> Self {
        Self { changes: database.map(crate::database::changes), ..self }
    }

    /// Also logs the queues for the limits of this Fly.
    #[cfg(feature = "fly")]
    pub(crate) fn logging_queues_of(self, fly: Option<gastown_fly::Fly>) -> Self {
        Self { fly, ..self }
    }

    /// Starts each of them in a task of its own, until `stop` is cancelled. The returned tracker ends when all have ended.
    pub(crate) fn start(self, stop: &CancellationToken) -> TaskTracker {
        let Self {
            service,
            yielding,
            drift_detector,
            monitor,
            heartbeats,
            idle,
            orphans,
            retention,
            rollouts,
            changes,
            ..
        } = self;
        let (hub, registry) = (service.watch_hub(), Arc::clone(&yielding.0.registry));
        let drift_detector = Arc::new(drift_detector);
        let tasks = TaskTracker::new();
        tasks.spawn(supervised("workers", RESTART_DELAY, stop.clone(), move |stop| {
            let (store, provider) = yielding.clone();
            let workers = Workers::new(service.clone()).removing_through(provider).storing_in(store);
            async move { workers.run(stop).await }
        }));
        tasks.spawn(supervised("drift detection", RESTART_DELAY, stop.clone(), move |stop| {
            let drift_detector = Arc::clone(&drift_detector);
            async move { drift_detector.run(stop).await }
        }));
        hear_of_sandboxes(&tasks, (monitor, heartbeats, idle), stop);
        start_singleton_jobs(&tasks, (orphans, retention, rollouts), stop);
        #[cfg(feature = "metrics")]
        if let Some(gauges) = self.gauges {
            let gauges = Arc::new(gauges);
            tasks.spawn(supervised("gauges", RESTART_DELAY, stop.clone(), move |stop| {
                let gauges = Arc::clone(&gauges);
                async move { gauges.run(stop).await }
            }));
        }
        tasks.spawn(supervised("watched towns", RESTART_DELAY, stop.clone(), move |stop| {
            let (hub, registry, changes) = (hub.clone(), Arc::clone(&registry), changes.clone());
            async move { hub.run(registry, changes, stop).await }
        }));
        #[cfg(feature = "fly")]
        if let Some(fly) = self.fly {
            tasks.spawn(supervised("queue stats", RESTART_DELAY, stop.clone(), move |stop| {
                let fly = fly.clone();
                crate::queue_stats::log_queues(move || fly.queue_stats(), crate::queue_stats::EVERY, stop)
            }));
        }
        tasks.close();
        tasks
    }
}

/// Starts the tasks that record the health of sandboxes and what they report, and the one that stops those that are idle.
fn hear_of_sandboxes(
    tasks: &TaskTracker,
    (monitor, heartbeats, idle): (HealthMonitor, HeartbeatWriter, IdleStopper),
    stop: &CancellationToken,
) {
    keep_running(tasks, ("health checks", monitor), stop, |monitor, stop| async move { monitor.run(stop).await });
    keep_running(tasks, ("heartbeats", heartbeats), stop, |heartbeats, stop| async move { heartbeats.run(stop).await });
    keep_running(tasks, ("idle stops", idle), stop, |idle, stop| async move { idle.run(stop).await });
}

/// Starts the jobs that one process at a time runs.
fn start_singleton_jobs(
    tasks: &TaskTracker,
    (orphans, retention, rollouts): (OrphanSweeper, Retention, RolloutDriver),
    stop: &CancellationToken,
) {
    keep_running(tasks, ("orphans", orphans), stop, |orphans, stop| async move { orphans.run(stop).await });
    keep_running(tasks, ("retention", retention), stop, |retention, stop| async move { retention.run(stop).await });
    keep_running(tasks, ("rollouts", rollouts), stop, |rollouts, stop| async move { rollouts.run(stop).await });
}

/// Starts a task that runs a copy of a part of the service until it is stopped.
fn keep_running<T, F>(
    tasks: &TaskTracker,
    (name, part): (&'static str, T),
    stop: &CancellationToken,
    run: impl Fn(T, CancellationToken) -> F + Send + 'static,
) where
    T: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    tasks.spawn(supervised(name, RESTART_DELAY, stop.clone(), move |stop| run(part.clone(), stop)));
}

/// Runs a task until it is stopped. A panic is a bug, and the task restarts after a pause.
async fn supervised<F>(
    name: &'static str,
    pause: Duration,
    stop: CancellationToken,
    start: impl Fn(CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(start(stop.clone())).await {
        tracing::error!(task = name, error = &error as &dyn std::error::Error, "background task panicked");
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

    /// Returns a task that panics at its first starts, and then signals that it runs.
    fn panicking(times: u32) -> (Arc<AtomicU32>, CancellationToken, impl Fn(CancellationToken) -> BoxedTask) {
        let (starts, running) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counter, signal) = (Arc::clone(&starts), running.clone());
        let start = move |stop: CancellationToken| -> BoxedTask {
            let (counter, signal) = (Arc::clone(&counter), signal.clone());
            Box::pin(async move {
                assert!(counter.fetch_add(1, Ordering::SeqCst) >= times, "the test requests this panic");
                signal.cancel();
                stop.cancelled().await;
            })
        };
        (starts, running, start)
    }

    type BoxedTask = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    #[tokio::test]
    async fn panicked_task_restarts_and_ends_when_stopped() {
        let stop = CancellationToken::new();
        let (starts, running, start) = panicking(1);
        let task = tokio::spawn(supervised("test", Duration::from_millis(1), stop.clone(), start));
        running.cancelled().await;
        stop.cancel();
        task.await.unwrap();
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn stop_does_not_wait_for_the_pause() {
        let stop = CancellationToken::new();
        let (starts, _, start) = panicking(u32::MAX);
        let task = tokio::spawn(supervised("test", Duration::from_secs(3600), stop.clone(), start));
        while starts.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        task.await.unwrap();
        assert_eq!(starts.load(Ordering::SeqCst), 1);
    }
}
