use std::collections::HashMap;

use gastown_domain::StepName;
use gastown_domain::ports::{OperationOutcome, ProviderCallResult, Shed, StepResult};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Returns every event once, with each value of each label that is an enum.
fn every_event() -> Vec<Measurement> {
    let mut all = vec![
        Measurement::ConnectionsOpen(3),
        Measurement::ConnectionRefused,
        Measurement::WatchersOpen(2),
        Measurement::DatabaseWaited(SECOND),
        Measurement::HeartbeatAccepted,
        Measurement::HeartbeatsWritten(3),
        Measurement::HeartbeatsWaiting(1),
        Measurement::IdleStopsRequested(1),
        Measurement::HealthChecked { healthy: 5, failed: 2, unknown: 1, restarted: 1 },
        Measurement::CallAnswered { procedure: "gastown.listTowns", code: "OK", took: SECOND },
    ];
    for kind in OperationKind::ALL {
        all.push(Measurement::ClaimLost { kind });
        all.extend(OperationOutcome::ALL.map(|outcome| Measurement::OperationEnded { kind, outcome, took: SECOND }));
    }
    for step in StepName::ALL {
        all.extend(StepResult::ALL.map(|result| Measurement::StepExecuted { step, result, took: SECOND }));
    }
    let called = |result| Measurement::ProviderCalled { action: "get_app", result, queued: SECOND, took: SECOND };
    all.extend(ProviderCallResult::ALL.map(called));
    all.extend(Shed::ALL.map(Measurement::CallShed));
    all
}

fn filled() -> PrometheusMetrics {
    let metrics = PrometheusMetrics::new().unwrap();
    for event in every_event() {
        metrics.record(event);
    }
    metrics.set_registry(Some(&RegistryFigures {
        towns: vec![(Some(TownStatus::Running), 5), (None, 1)],
        due: 4,
        expiring_tokens: 2,
        oldest_due: SECOND * 90,
        alarms: vec![SingletonJob::Orphans],
        ..RegistryFigures::default()
    }));
    metrics.set_pool(Pool { name: "reads", in_use: 1, idle: 2, max: 4 });
    metrics.set_queues(Queues { foreground: 6, background: 1, oldest: SECOND });
    metrics
}

/// Returns the names of the metrics of a text with their kinds, and its samples.
fn parsed(text: &str) -> (HashMap<&str, &str>, Vec<&str>) {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    (kinds, text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect())
}

#[test]
fn every_metric_of_the_catalogue_is_rendered_and_no_other() {
    let text = filled().render();
    let (mut kinds, _) = parsed(&text);
    for metric in CATALOGUE {
        assert_eq!(kinds.remove(metric.name), Some(metric.kind.name()), "{}", metric.name);
        assert!(text.contains(&format!("# HELP {} ", metric.name)) || metric.name.starts_with("process_"));
    }
    assert_eq!(kinds, HashMap::new());
}

#[test]
fn series_have_the_labels_of_the_catalogue_and_stay_within_its_bounds() {
    let text = filled().render();
    let (_, samples) = parsed(&text);
    for metric in CATALOGUE {
        let own = |line: &&&str| {
            let rest = line.strip_prefix(metric.name).unwrap_or("-");
            ["", "_count"]
                .iter()
                .any(|suffix| rest.strip_prefix(suffix).is_some_and(|rest| rest.starts_with(['{', ' '])))
        };
        let series: Vec<_> = samples.iter().filter(own).collect();
        assert!(!series.is_empty() && series.len() <= metric.max_series(), "{}: {series:?}", metric.name);
        for line in series {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let names: Vec<_> = labels
                .split(',')
                .filter(|label| !label.is_empty())
                .map(|label| label.split_once('=').unwrap().0)
                .collect();
            let wanted: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
            assert_eq!(names, wanted, "{line}");
        }
    }
}

#[test]
fn figures_of_the_registry_set_every_value_of_their_label() {
    let metrics = filled();
    let text = metrics.render();
    for line in [
        r#"gastown_towns{status="running"} 5"#,
        r#"gastown_towns{status="stopped"} 0"#,
        r#"gastown_towns{status="other"} 1"#,
        "gastown_operations_due 4",
        "gastown_tokens_expiring 2",
        "gastown_operations_due_oldest_seconds 90",
        r#"gastown_job_alarms{job="orphans"} 1"#,
        r#"gastown_job_alarms{job="retention"} 0"#,
        "gastown_database_up 1",
        r#"gastown_database_connections{pool="reads",state="idle"} 2"#,
        r#"gastown_provider_queued_calls{priority="foreground"} 6"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    metrics.set_registry(None);
    let text = metrics.render();
    assert!(text.contains("gastown_database_up 0") && text.contains(r#"gastown_towns{status="running"} 5"#));
}

#[test]
fn durations_are_counted_in_buckets() {
    let metrics = PrometheusMetrics::new().unwrap();
    for millis in [3, 700, 90_000] {
        let took = Duration::from_millis(millis);
        metrics.record(Measurement::CallAnswered { procedure: "gastown.listTowns", code: "OK", took });
        metrics.upkeep();
    }
    let text = metrics.render();
    for (limit, count) in [("0.005", 1), ("0.5", 1), ("1", 2), ("60", 2), ("+Inf", 3)] {
        let line =
            format!(r#"gastown_call_duration_seconds_bucket{{procedure="gastown.listTowns",le="{limit}"}} {count}"#);
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}
