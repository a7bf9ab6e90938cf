//! The reads of pages with several lists.

use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::{AuditedEvent, EventFilter, FigureLimits, HeldOperation, JobState, Readable, StoreError};

use super::Console;
use crate::live::ROWS;
use crate::plot;
use crate::view::Overview;

/// The operations in flight on the overview.
const OPERATIONS: u32 = 20;
/// The queues on the overview.
const QUEUES: usize = 20;
/// The most events that the plot is made of, the newest ones.
const MAX_PLOTTED: u32 = 5000;
/// The time for the check of the database.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn overview(console: &Console) -> Result<Overview, StoreError> {
    let sources = &console.sources;
    let now = sources.clock.now();
    let limits = FigureLimits::alerting_after(sources.alert_attempts);
    let is_ready = matches!(tokio::time::timeout(READY_TIMEOUT, sources.readiness.ready()).await, Ok(Ok(())));
    let since = Some(now - TimeDelta::hours(i64::from(plot::HOURS)));
    let plotted = async {
        let filter = EventFilter { since, ..EventFilter::default() };
        let events = sources.operator.audit(&filter, MAX_PLOTTED).await?;
        Ok::<_, StoreError>(plot::buckets(&events, now))
    };
    let mut queues = sources.queues.queues();
    queues.truncate(QUEUES);
    Ok(Overview {
        is_ready,
        figures: console.figures.get(sources.figures.figures(limits)).await?,
        jobs: sources.jobs.states().await?,
        operations: sources.operator.operations(OPERATIONS).await?,
        queues,
        limits: sources.queues.limits(),
        plot: console.plot.get(plotted).await?,
        events: sources.operator.audit(&EventFilter::default(), ROWS).await?,
        now,
        alert_attempts: sources.alert_attempts,
    })
}

type OperationLists = (Vec<Readable<HeldOperation>>, Vec<AuditedEvent>, Vec<JobState>);

/// Returns the operations in flight, those that failed within a day, and the periodic jobs.
pub(super) async fn operations(console: &Console, limit: u32) -> Result<OperationLists, StoreError> {
    let sources = &console.sources;
    let since = Some(sources.clock.now() - TimeDelta::days(1));
    let failed = EventFilter { failed: true, since, ..EventFilter::default() };
    Ok((
        sources.operator.operations(limit).await?,
        sources.operator.audit(&failed, limit).await?,
        sources.jobs.states().await?,
    ))
}
