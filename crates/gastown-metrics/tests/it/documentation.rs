//! `docs/observability/metrics.md` lists exactly the metrics of the catalogue.

use std::fs;
use std::path::PathBuf;

use gastown_metrics::CATALOGUE;

/// Returns a file of `docs/observability`.
pub(crate) fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/observability").join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn page_lists_every_metric_as_it_is_and_no_other() {
    let page = page("metrics.md");
    let (_, table) = page.split_once("## The metrics").unwrap();
    let listed: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted = CATALOGUE.iter().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        format!("| `{}` | {} | {} | {} |", metric.name, metric.kind.name(), labels.join(", "), metric.help)
    });
    assert_eq!(listed, wanted.collect::<Vec<_>>());
}
