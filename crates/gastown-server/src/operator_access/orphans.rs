//! The search for orphans that operators begin.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{NoMetrics, WorkerId};
use gastown_fly::Fly;
use gastown_orchestrator::{Env, Grace, OrphanPorts, OrphanSweeper, Policy, ValidPolicy};
use gastown_persistence::Database;
use gastown_system::{RandomIds, SystemClock, ThreadJitter};

/// Returns a sweeper that makes no pass of its own.
pub(crate) fn orphan_sweeper(database: Database, fly: Fly, policy: ValidPolicy) -> OrphanSweeper {
    let (database, fly) = (Arc::new(database), Arc::new(fly));
    let ports = OrphanPorts {
        orphans: database.clone(),
        jobs: database,
        inventory: fly.clone(),
        machines: fly.clone(),
        volumes: fly,
        env: Env {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            jitter: Arc::new(ThreadJitter),
            metrics: Arc::new(NoMetrics),
        },
    };
    // It runs no periodic job, so this name claims nothing.
    OrphanSweeper::with(ports, policy, WorkerId("gastown orphans".to_owned()))
}

/// Returns the grace of the settings, or that of an operator in seconds.
pub(crate) fn grace(given: Option<u64>, policy: &Policy) -> Grace {
    match given {
        Some(seconds) => Grace { time: Duration::from_secs(seconds), ..Grace::NONE },
        None => Grace::from(&policy.orphans),
    }
}
