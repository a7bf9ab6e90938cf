//! The gauges of metrics: figures of the registry, of the pools and of the queues, read at an interval.

use std::sync::Arc;
use std::time::Duration;

use gastown_domain::ports::{FigureLimits, Figures};
use gastown_metrics::PrometheusMetrics;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::plan::{Adapters, Plan};

/// The metrics of a builder.
pub(crate) struct Prometheus {
    pub(crate) metrics: Arc<PrometheusMetrics>,
    pub(crate) every: Duration,
}

/// Sets the gauges until it is stopped.
pub(crate) struct Gauges {
    metrics: Arc<PrometheusMetrics>,
    every: Duration,
    limits: FigureLimits,
    figures: Option<Arc<dyn Figures>>,
    #[cfg(feature = "postgres")]
    database: Option<gastown_persistence::Database>,
    #[cfg(feature = "fly")]
    fly: Option<gastown_fly::Fly>,
}

impl Plan {
    /// Returns the task that sets the gauges, if there are metrics.
    pub(crate) fn gauges(&self, adapters: &Adapters) -> Option<Gauges> {
        let Prometheus { metrics, every } = self.prometheus.as_ref()?;
        Some(Gauges {
            metrics: Arc::clone(metrics),
            every: *every,
            limits: FigureLimits::alerting_after(self.settings.policy.limits.alert_attempts),
            figures: adapters.figures.clone(),
            #[cfg(feature = "postgres")]
            database: adapters.database.clone(),
            #[cfg(feature = "fly")]
            fly: adapters.fly.clone(),
        })
    }
}

impl Gauges {
    /// Sets the gauges at the interval. A slow database delays the next read, and no other call.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            stop.run_until_cancelled(self.set()).await;
        }
    }

    async fn set(&self) {
        self.metrics.upkeep();
        #[cfg(feature = "postgres")]
        for gastown_persistence::Pool { name, in_use, idle, max } in
            self.database.iter().flat_map(gastown_persistence::Database::pools)
        {
            self.metrics.set_pool(gastown_metrics::Pool { name, in_use, idle, max });
        }
        #[cfg(feature = "fly")]
        if let Some(fly) = &self.fly {
            self.metrics.set_queues(queues(&fly.queue_stats()));
        }
        let Some(figures) = &self.figures else { return };
        match figures.figures(self.limits).await {
            Ok(figures) => self.metrics.set_registry(Some(&figures)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to read figures of the registry");
                self.metrics.set_registry(None);
            }
        }
    }
}

/// Returns the sums of the queues of this process.
#[cfg(feature = "fly")]
fn queues(queues: &[gastown_fly::QueueStats]) -> gastown_metrics::Queues {
    gastown_metrics::Queues {
        foreground: queues.iter().map(|queue| queue.foreground).sum(),
        background: queues.iter().map(|queue| queue.background).sum(),
        oldest: queues.iter().map(|queue| queue.waited).max().unwrap_or_default(),
    }
}
