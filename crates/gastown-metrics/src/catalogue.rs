//! The list of metrics.

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number at present.
    Gauge,
    /// Durations in seconds, counted up to each of these limits.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Returns the name of the kind in Prometheus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A label with a bounded number of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The most values that it has.
    pub max_values: usize,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [Label],
    /// Its meaning, in one sentence.
    pub help: &'static str,
}

impl Metric {
    /// Returns the most series of this metric. One of a histogram has a sample for each limit, and three more.
    pub fn max_series(&self) -> usize {
        self.labels.iter().map(|label| label.max_values).product()
    }
}

/// The limits of histograms of operations, which take seconds to minutes.
const LONG: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
/// The limits of histograms of single calls.
const SHORT: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const KIND: Label = Label { name: "kind", max_values: 10 };
const OUTCOME: Label = Label { name: "outcome", max_values: 4 };
const STEP: Label = Label { name: "step", max_values: 32 };
const STEP_RESULT: Label = Label { name: "result", max_values: 3 };
const ACTION: Label = Label { name: "action", max_values: 24 };
const CALL_RESULT: Label = Label { name: "result", max_values: 8 };
const PROCEDURE: Label = Label { name: "procedure", max_values: 32 };
const CODE: Label = Label { name: "code", max_values: 24 };
const REASON: Label = Label { name: "reason", max_values: 4 };
const STATUS: Label = Label { name: "status", max_values: 5 };
const HEALTH: Label = Label { name: "state", max_values: 6 };
const CHECK_RESULT: Label = Label { name: "result", max_values: 3 };
const DRIFT: Label = Label { name: "drift", max_values: 8 };
const JOB: Label = Label { name: "job", max_values: 8 };
const IMAGE: Label = Label { name: "image", max_values: 4 };
const ROLLOUT_STATE: Label = Label { name: "state", max_values: 7 };
const POOL: Label = Label { name: "pool", max_values: 2 };
const POOL_STATE: Label = Label { name: "state", max_values: 2 };
const PRIORITY: Label = Label { name: "priority", max_values: 2 };

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:ident),*], $help:literal;)+) => {
        $(pub(crate) const $constant: Metric =
            Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+

        /// Every metric of this service. Those of the process follow the names of Prometheus's clients.
        pub const CATALOGUE: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    OPERATIONS_ENDED = "gastown_operations_ended_total", Kind::Counter, [KIND, OUTCOME],
        "Operations that ended in this process.";
    OPERATION_SECONDS = "gastown_operation_duration_seconds", Kind::Histogram(LONG), [KIND, OUTCOME],
        "Time from the acceptance of an operation to its end.";
    STEP_SECONDS = "gastown_step_duration_seconds", Kind::Histogram(SHORT), [STEP, STEP_RESULT],
        "Time of one execution of a step, with its wait for the provider's limits.";
    CLAIMS_LOST = "gastown_claims_lost_total", Kind::Counter, [KIND],
        "Claims that were lost while this process drove the operation, to another process or to a destroy.";
    PROVIDER_CALLS = "gastown_provider_calls_total", Kind::Counter, [ACTION, CALL_RESULT],
        "Calls to the provider by class of result.";
    PROVIDER_SECONDS = "gastown_provider_call_duration_seconds", Kind::Histogram(SHORT), [ACTION],
        "Time from the sending of a call to the provider to its answer.";
    PROVIDER_WAIT = "gastown_provider_wait_seconds", Kind::Histogram(SHORT), [ACTION],
        "Time of a call in the queue for the provider's limits.";
    PROVIDER_QUEUED = "gastown_provider_queued_calls", Kind::Gauge, [PRIORITY],
        "Calls in the queues for the provider's limits.";
    PROVIDER_OLDEST = "gastown_provider_queue_oldest_seconds", Kind::Gauge, [],
        "The longest present wait in a queue for the provider's limits.";
    CALLS = "gastown_calls_total", Kind::Counter, [PROCEDURE, CODE],
        "Calls of clients and sandboxes by procedure and code. A batch has several calls.";
    CALL_SECONDS = "gastown_call_duration_seconds", Kind::Histogram(SHORT), [PROCEDURE],
        "Time of a call, with its wait for an operation.";
    CALLS_SHED = "gastown_calls_shed_total", Kind::Counter, [REASON],
        "Calls that were refused to protect the service.";
    CONNECTIONS = "gastown_connections", Kind::Gauge, [],
        "Open connections of clients, without those for probes.";
    CONNECTIONS_REFUSED = "gastown_connections_refused_total", Kind::Counter, [],
        "Connections that were refused, or taken only for a probe.";
    WATCHERS = "gastown_watchers", Kind::Gauge, [],
        "Clients that watch towns at present.";
    HEARTBEATS = "gastown_heartbeats_total", Kind::Counter, [],
        "Heartbeats that were accepted.";
    HEARTBEATS_WRITTEN = "gastown_heartbeats_written_total", Kind::Counter, [],
        "Heartbeats that were written. Of several that wait of one town, the last one is.";
    HEARTBEATS_WAITING = "gastown_heartbeats_waiting", Kind::Gauge, [],
        "Heartbeats that waited after the last write of all.";
    TOKENS_EXPIRING = "gastown_tokens_expiring", Kind::Gauge, [],
        "Running towns whose sandbox has no token that lasts another hour, and did not ask for one.";
    HEALTH_CHECKS = "gastown_health_checks_total", Kind::Counter, [CHECK_RESULT],
        "Health checks of running towns by result.";
    HEALTH_RESTARTS = "gastown_health_restarts_total", Kind::Counter, [],
        "Restarts that the health monitor requested.";
    IDLE_STOPS = "gastown_idle_stops_total", Kind::Counter, [],
        "Stops of idle towns that were requested.";
    TOWNS_BY_HEALTH = "gastown_towns_by_health", Kind::Gauge, [HEALTH],
        "Running towns by the state of their health, without those that were never checked.";
    TOWNS_BY_IMAGE = "gastown_towns_by_image", Kind::Gauge, [IMAGE],
        "Live towns by the image of their machine, compared with that of the newest rollout.";
    ROLLOUTS = "gastown_rollouts", Kind::Gauge, [ROLLOUT_STATE],
        "Rollouts that have not ended, by state.";
    HEALTH_OLDEST = "gastown_health_check_oldest_seconds", Kind::Gauge, [],
        "The time for which the longest due health check waits.";
    TOWNS = "gastown_towns", Kind::Gauge, [STATUS],
        "Live towns by status.";
    TOWNS_DRIFTED = "gastown_towns_drifted", Kind::Gauge, [DRIFT],
        "Live towns with a confirmed external change.";
    OPERATIONS = "gastown_operations", Kind::Gauge, [KIND],
        "Operations in flight.";
    DUE = "gastown_operations_due", Kind::Gauge, [],
        "Operations that are due and that no process drives.";
    OLDEST_DUE = "gastown_operations_due_oldest_seconds", Kind::Gauge, [],
        "The time for which the longest due of them waits.";
    STUCK = "gastown_operations_stuck", Kind::Gauge, [],
        "Operations that failed fifteen times in a row and need an operator.";
    LEFT_TO_NEWER = "gastown_operations_left_to_newer", Kind::Gauge, [],
        "Operations that are due and belong to a newer version.";
    ORPHANS = "gastown_orphans", Kind::Gauge, [],
        "Machines and volumes at the provider that no row names.";
    ALARMS = "gastown_job_alarms", Kind::Gauge, [JOB],
        "One for a periodic job whose last run ended with an alarm.";
    DATABASE_UP = "gastown_database_up", Kind::Gauge, [],
        "One if the last read of the figures of the registry succeeded.";
    DATABASE_CONNECTIONS = "gastown_database_connections", Kind::Gauge, [POOL, POOL_STATE],
        "Connections to the database.";
    DATABASE_MAX = "gastown_database_max_connections", Kind::Gauge, [POOL],
        "The most connections that the pool opens.";
    DATABASE_WAIT = "gastown_database_wait_seconds", Kind::Histogram(SHORT), [],
        "Time until a transaction has begun or a read has a connection.";
    CPU = "process_cpu_seconds_total", Kind::Counter, [],
        "CPU time of the process.";
    FDS = "process_open_fds", Kind::Gauge, [],
        "Open file descriptors.";
    MAX_FDS = "process_max_fds", Kind::Gauge, [],
        "The limit of file descriptors.";
    RESIDENT = "process_resident_memory_bytes", Kind::Gauge, [],
        "Resident memory.";
    VIRTUAL = "process_virtual_memory_bytes", Kind::Gauge, [],
        "Virtual memory.";
    MAX_VIRTUAL = "process_virtual_memory_max_bytes", Kind::Gauge, [],
        "The limit of virtual memory.";
    STARTED = "process_start_time_seconds", Kind::Gauge, [],
        "The start of the process, in seconds since 1970.";
    THREADS = "process_threads", Kind::Gauge, [],
        "Threads of the process.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gastown_domain::ports::{OperationOutcome, ProviderCallResult, Shed, SingletonJob, StepResult};
    use gastown_domain::{Drift, HealthState, OperationKind, RolloutState, StepName, TownImage, TownStatus};

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let mut names = HashSet::new();
        for metric in CATALOGUE {
            assert!(names.insert(metric.name), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            let is_histogram = matches!(metric.kind, Kind::Histogram(_));
            assert!(!is_histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.name.starts_with(['g', 'p']), "{}", metric.name);
        }
    }

    #[test]
    fn labels_have_room_for_every_value_and_name_no_town_or_user() {
        for (label, values) in [
            (KIND, OperationKind::ALL.len() + 1),
            (OUTCOME, OperationOutcome::ALL.len()),
            (STEP, StepName::ALL.len()),
            (STEP_RESULT, StepResult::ALL.len()),
            (CALL_RESULT, ProviderCallResult::ALL.len()),
            (REASON, Shed::ALL.len()),
            (STATUS, TownStatus::ALL.len() + 1),
            (HEALTH, HealthState::ALL.len() + 1),
            (DRIFT, Drift::ALL.len() + 1),
            (JOB, SingletonJob::ALL.len()),
            (IMAGE, TownImage::ALL.len() + 1),
            (ROLLOUT_STATE, RolloutState::ALL.len() + 1),
        ] {
            assert!(values <= label.max_values, "{}: {values}", label.name);
        }
        for metric in CATALOGUE {
            assert!(metric.max_series() <= 1024, "{}: {}", metric.name, metric.max_series());
            for label in metric.labels {
                let is_id = ["town", "user", "id", "owner", "app", "region"].contains(&label.name);
                assert!(!is_id, "{} of {}", label.name, metric.name);
            }
        }
    }
}
