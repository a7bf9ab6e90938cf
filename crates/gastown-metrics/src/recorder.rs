//! The counts of one control plane.

use std::time::Duration;

use gastown_domain::ports::{Measurement, Metrics, RegistryFigures, SingletonJob};
use gastown_domain::{Drift, HealthState, OperationKind, RolloutState, TownImage, TownStatus};
use metrics::{Counter, Gauge, Histogram, Key, Level, Metadata, Recorder as _, SharedString};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

use crate::catalogue::{self, CATALOGUE, Kind, Metric};

static METADATA: Metadata<'static> = Metadata::new("gastown", Level::INFO, None);

/// The value of a label that a newer version has written.
const OTHER: &str = "other";

/// The metrics cannot be set up. It is a mistake in the catalogue.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up metrics")]
pub struct SetUpError(#[from] BuildError);

/// Counts events, and has the gauges of a control plane.
pub struct PrometheusMetrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: Collector,
}

/// The connections of a pool of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The name of the pool: `reads` or `others`.
    pub name: &'static str,
    /// The connections in use.
    pub in_use: usize,
    /// The open connections that nothing uses.
    pub idle: usize,
    /// The most connections that it opens.
    pub max: usize,
}

/// The queues for the provider's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// The calls with a waiting caller.
    pub foreground: usize,
    /// The calls of background work.
    pub background: usize,
    /// The longest present wait.
    pub oldest: Duration,
}

impl PrometheusMetrics {
    /// Returns metrics without counts.
    pub fn new() -> Result<Self, SetUpError> {
        let mut builder = PrometheusBuilder::new();
        for metric in CATALOGUE {
            if let Kind::Histogram(limits) = metric.kind {
                builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), limits)?;
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        for metric in CATALOGUE {
            let (name, help) = (metric.name.into(), SharedString::const_str(metric.help));
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let new = Self { recorder, handle, process: Collector::default() };
        new.start_at_zero();
        Ok(new)
    }

    /// Returns all of it as Prometheus text, with the figures of the process at present.
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.handle.render()
    }

    /// Adds the observed durations to the histograms. Between two calls they take memory.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Sets the gauges of the registry. `None`: it could not be read, and the gauges keep their values.
    pub fn set_registry(&self, figures: Option<&RegistryFigures>) {
        self.gauge(&catalogue::DATABASE_UP, []).set(if figures.is_some() { 1.0 } else { 0.0 });
        let Some(figures) = figures else { return };
        self.set_each(&catalogue::TOWNS, &figures.towns, &TownStatus::ALL, TownStatus::as_str);
        self.set_each(&catalogue::TOWNS_DRIFTED, &figures.drifted, &Drift::ALL, Drift::as_str);
        self.set_each(&catalogue::TOWNS_BY_HEALTH, &figures.health, &HealthState::ALL, HealthState::as_str);
        self.set_each(&catalogue::TOWNS_BY_IMAGE, &figures.images, &TownImage::ALL, TownImage::as_str);
        self.set_each(&catalogue::ROLLOUTS, &figures.rollouts, &RolloutState::ALL, RolloutState::as_str);
        self.gauge(&catalogue::HEALTH_OLDEST, []).set(figures.oldest_check.as_secs_f64());
        self.set_each(&catalogue::OPERATIONS, &figures.operations, &OperationKind::ALL, OperationKind::as_str);
        for job in SingletonJob::ALL {
            let is_raised = figures.alarms.contains(&job);
            self.gauge(&catalogue::ALARMS, [job.as_str()]).set(if is_raised { 1.0 } else { 0.0 });
        }
        for (metric, value) in [
            (&catalogue::DUE, figures.due),
            (&catalogue::STUCK, figures.stuck),
            (&catalogue::LEFT_TO_NEWER, figures.left_to_newer),
            (&catalogue::ORPHANS, figures.orphans),
            (&catalogue::TOKENS_EXPIRING, figures.expiring_tokens),
        ] {
            self.gauge(metric, []).set(number(value));
        }
        self.gauge(&catalogue::OLDEST_DUE, []).set(figures.oldest_due.as_secs_f64());
    }

    /// Sets the gauges of a pool of the database.
    pub fn set_pool(&self, pool: Pool) {
        self.gauge(&catalogue::DATABASE_CONNECTIONS, [pool.name, "in_use"]).set(count(pool.in_use));
        self.gauge(&catalogue::DATABASE_CONNECTIONS, [pool.name, "idle"]).set(count(pool.idle));
        self.gauge(&catalogue::DATABASE_MAX, [pool.name]).set(count(pool.max));
    }

    /// Sets the gauges of the queues for the provider's limits.
    pub fn set_queues(&self, queues: Queues) {
        self.gauge(&catalogue::PROVIDER_QUEUED, ["foreground"]).set(count(queues.foreground));
        self.gauge(&catalogue::PROVIDER_QUEUED, ["background"]).set(count(queues.background));
        self.gauge(&catalogue::PROVIDER_OLDEST, []).set(queues.oldest.as_secs_f64());
    }

    /// Begins counters that alerts compare with their value before, so that the first event is an increase from zero.
    fn start_at_zero(&self) {
        for metric in CATALOGUE.iter().filter(|metric| metric.kind == Kind::Counter && metric.labels.is_empty()) {
            if metric.name.starts_with("gastown_") {
                self.counter(metric, []).increment(0);
            }
        }
        for kind in OperationKind::ALL {
            self.counter(&catalogue::CLAIMS_LOST, [kind.as_str()]).increment(0);
        }
        for (metric, value) in [(&catalogue::CONNECTIONS, 0.0), (&catalogue::WATCHERS, 0.0)] {
            self.gauge(metric, []).set(value);
        }
    }

    /// Sets a gauge for each value of its label. Those without rows are zero.
    fn set_each<T: Copy + PartialEq>(
        &self,
        metric: &'static Metric,
        counts: &[(Option<T>, u64)],
        all: &[T],
        text: impl Fn(T) -> &'static str,
    ) {
        let of = |wanted: Option<T>| counts.iter().filter(|(value, _)| *value == wanted).map(|(_, count)| count).sum();
        for value in all {
            self.gauge(metric, [text(*value)]).set(number(of(Some(*value))));
        }
        self.gauge(metric, [OTHER]).set(number(of(None)));
    }

    fn counter<const N: usize>(&self, metric: &'static Metric, values: [&'static str; N]) -> Counter {
        self.recorder.register_counter(&key(metric, values), &METADATA)
    }

    fn gauge<const N: usize>(&self, metric: &'static Metric, values: [&'static str; N]) -> Gauge {
        self.recorder.register_gauge(&key(metric, values), &METADATA)
    }

    fn histogram<const N: usize>(&self, metric: &'static Metric, values: [&'static str; N]) -> Histogram {
        self.recorder.register_histogram(&key(metric, values), &METADATA)
    }
}

impl Metrics for PrometheusMetrics {
    fn record(&self, measurement: Measurement) {
        match measurement {
            Measurement::OperationEnded { kind, outcome, took } => {
                let labels = [kind.as_str(), outcome.as_str()];
                self.counter(&catalogue::OPERATIONS_ENDED, labels).increment(1);
                self.histogram(&catalogue::OPERATION_SECONDS, labels).record(took);
            }
            Measurement::StepExecuted { step, result, took } => {
                self.histogram(&catalogue::STEP_SECONDS, [step.as_str(), result.as_str()]).record(took);
            }
            Measurement::ClaimLost { kind } => self.counter(&catalogue::CLAIMS_LOST, [kind.as_str()]).increment(1),
            Measurement::ProviderCalled { action, result, queued, took } => {
                self.counter(&catalogue::PROVIDER_CALLS, [action, result.as_str()]).increment(1);
                self.histogram(&catalogue::PROVIDER_WAIT, [action]).record(queued);
                if !took.is_zero() {
                    self.histogram(&catalogue::PROVIDER_SECONDS, [action]).record(took);
                }
            }
            Measurement::CallAnswered { procedure, code, took } => {
                self.counter(&catalogue::CALLS, [procedure, code]).increment(1);
                self.histogram(&catalogue::CALL_SECONDS, [procedure]).record(took);
            }
            Measurement::CallShed(reason) => self.counter(&catalogue::CALLS_SHED, [reason.as_str()]).increment(1),
            Measurement::ConnectionsOpen(open) => self.gauge(&catalogue::CONNECTIONS, []).set(count(open)),
            Measurement::ConnectionRefused => self.counter(&catalogue::CONNECTIONS_REFUSED, []).increment(1),
            Measurement::WatchersOpen(open) => self.gauge(&catalogue::WATCHERS, []).set(count(open)),
            Measurement::DatabaseWaited(wait) => self.histogram(&catalogue::DATABASE_WAIT, []).record(wait),
            Measurement::HeartbeatAccepted => self.counter(&catalogue::HEARTBEATS, []).increment(1),
            Measurement::HeartbeatsWritten(written) => {
                self.counter(&catalogue::HEARTBEATS_WRITTEN, []).increment(whole(written));
            }
            Measurement::HeartbeatsWaiting(waiting) => {
                self.gauge(&catalogue::HEARTBEATS_WAITING, []).set(count(waiting));
            }
            Measurement::HealthChecked { healthy, failed, unknown, restarted } => {
                for (result, checks) in [("healthy", healthy), ("failed", failed), ("unknown", unknown)] {
                    self.counter(&catalogue::HEALTH_CHECKS, [result]).increment(whole(checks));
                }
                self.counter(&catalogue::HEALTH_RESTARTS, []).increment(whole(restarted));
            }
            Measurement::IdleStopsRequested(stops) => {
                self.counter(&catalogue::IDLE_STOPS, []).increment(whole(stops));
            }
        }
    }
}

impl std::fmt::Debug for PrometheusMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrometheusMetrics").finish_non_exhaustive()
    }
}

fn key<const N: usize>(metric: &'static Metric, values: [&'static str; N]) -> Key {
    let labels = metric.labels.iter().zip(values);
    let labels = labels.map(|(label, value)| metrics::Label::from_static_parts(label.name, value));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below the precision of a float")]
fn number(value: u64) -> f64 {
    value as f64
}

fn count(value: usize) -> f64 {
    number(whole(value))
}

fn whole(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
