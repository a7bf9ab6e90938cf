//! The dashboard and the alerts use metrics that exist, with their labels.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use gastown_metrics::{CATALOGUE, Kind, Metric};
use serde_json::Value;

use crate::documentation::page;

/// Returns the names of metrics in an expression of Prometheus.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("gastown_") || word.starts_with("process_"))
}

/// Returns the metric of a series. A histogram is read by its buckets.
fn metric_of(name: &str) -> Option<&'static Metric> {
    let is_of = |metric: &&Metric| match metric.kind {
        Kind::Histogram(_) => name.strip_suffix("_bucket") == Some(metric.name),
        Kind::Counter | Kind::Gauge => name == metric.name,
    };
    CATALOGUE.iter().find(is_of)
}

/// Returns the labels that an expression groups by or selects.
fn labels(expression: &str) -> Vec<&str> {
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')')).map(|(list, _)| list);
    let selected = expression.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(list, _)| list);
    let names = grouped.chain(selected).flat_map(|list| list.split(','));
    names.map(|label| label.split(['=', '~', '!']).next().unwrap().trim()).filter(|label| *label != "le").collect()
}

fn assert_valid(expression: &str) {
    let used: Vec<_> = names(expression).collect();
    assert!(!used.is_empty(), "{expression} reads no metric");
    for name in &used {
        let metric = metric_of(name).unwrap_or_else(|| panic!("{name} in {expression} does not exist"));
        for label in labels(expression) {
            assert!(metric.labels.iter().any(|own| own.name == label), "{name} has no label {label}: {expression}");
        }
    }
}

/// Returns the alerts with their expressions.
fn alerts() -> Vec<(String, String)> {
    let page = page("alerts.yaml");
    let rules = page.split("- alert: ").skip(1);
    let read = |rule: &str| {
        let (name, rest) = rule.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("expr: ").unwrap();
        let end = ["\n        for:", "\n        labels:"].into_iter().filter_map(|next| rest.find(next)).min().unwrap();
        (name.to_owned(), rest[..end].trim_start_matches('|').trim().to_owned())
    };
    rules.map(read).collect()
}

/// Returns the expressions of the dashboard.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&page("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_expression_reads_metrics_and_labels_that_exist() {
    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() >= 8 && panels.len() >= 20, "{} {}", alerts.len(), panels.len());
    for expression in alerts.iter().map(|(_, expression)| expression).chain(&panels) {
        assert_valid(expression);
    }
}

#[test]
fn dashboard_shows_every_metric_that_is_not_a_limit() {
    let panels = panels();
    let shown: BTreeSet<_> = panels
        .iter()
        .flat_map(|expression| names(expression))
        .filter_map(metric_of)
        .map(|metric| metric.name)
        .collect();
    let limits = ["process_max_fds", "process_virtual_memory_bytes", "process_virtual_memory_max_bytes"];
    let others = ["process_start_time_seconds", "process_threads"];
    let missing: Vec<_> = CATALOGUE.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(
        missing.iter().filter(|name| !limits.contains(name) && !others.contains(name)).count(),
        0,
        "{missing:?}"
    );
}

#[test]
fn unknown_metrics_and_labels_are_found() {
    for wrong in ["gastown_town > 0", "max by (town) (gastown_towns)", "gastown_towns{user=\"a\"}", "up"] {
        assert!(std::panic::catch_unwind(|| assert_valid(wrong)).is_err(), "{wrong}");
    }
}

/// Runs promtool on a file of the observability pages. Returns its error, or `None` if promtool is not installed.
fn promtool(arguments: [&str; 3], folder: &Path) -> Option<Result<(), String>> {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&text).into_owned()) })
}

#[test]
fn alerts_pass_their_unit_tests_in_promtool() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observability");
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]] {
        if let Some(result) = promtool(arguments, &folder) {
            result.unwrap_or_else(|error| panic!("promtool {arguments:?}: {error}"));
        }
    }
}

#[test]
fn every_alert_has_a_unit_test() {
    let tests = page("alerts_test.yaml");
    for (name, _) in alerts() {
        for expected in ["exp_alerts: []", "exp_labels"] {
            let cases = tests.split("eval_time:").filter(|case| case.contains(&format!("alertname: {name}")));
            assert!(cases.clone().any(|case| case.contains(expected)), "{name} has no case with {expected}");
        }
    }
}
