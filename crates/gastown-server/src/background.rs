//! What a process does unasked: finishes what others left behind, compares settled towns with Fly, looks for orphans.

use std::sync::Arc;

use gastown_domain::ports::WorkerId;
use gastown_orchestrator::{Inspector, OrphanSweeper, Ports, Settings, TownService, Workers};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Its parts, not yet at work.
pub(crate) struct Background {
    workers: Workers,
    inspector: Inspector,
    orphans: OrphanSweeper,
}

impl Background {
    pub(crate) fn new(service: &TownService, ports: &Ports, settings: Settings, worker: &WorkerId) -> Self {
        let settings = Arc::new(settings);
        Self {
            workers: Workers::new(service.clone()).removing_through(ports.outside.clone()),
            inspector: Inspector::new(ports.clone(), Arc::clone(&settings), worker.clone()),
            orphans: OrphanSweeper::new(ports.clone(), settings, worker.clone()),
        }
    }

    /// Sets them to work, each in a task of its own, until `stop` is cancelled. The tracker is closed: it ends with them.
    pub(crate) fn start(self, stop: &CancellationToken) -> TaskTracker {
        let Self { workers, inspector, orphans } = self;
        let (inspecting, searching) = (stop.clone(), stop.clone());
        let tasks = TaskTracker::new();
        tasks.spawn(workers.run(stop.clone()));
        tasks.spawn(async move { inspector.run(inspecting).await });
        tasks.spawn(async move { orphans.run(searching).await });
        tasks.close();
        tasks
    }
}
