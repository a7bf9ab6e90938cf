//! One crate assembles the service: the facade. A second assembly would forget a port or a periodic job.

use crate::workspace::SourceFile;

/// The only product code that may create the parts.
const FACADE: &str = "crates/gastown/src/";
/// The crates that define them, and one that gives random requests to a router over doubles.
const OTHERS: &[&str] =
    &["crates/gastown-orchestrator/", "crates/gastown-http/", "crates/gastown-fuzz/", "xtask/src/tidy/"];
/// The ways to create a part of a running service.
const PARTS: &[&str] = &[
    "TownService::new(",
    "Workers::new(",
    "DriftDetector::new(",
    "OrphanSweeper::new(",
    "Retention::new(",
    "HttpParts {",
    "gastown_http::router(",
    "http_api::router(",
];

/// Returns the lines of product code that create a part outside of the facade.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    let is_free = |path: &str| path.starts_with(FACADE) || OTHERS.iter().any(|other| path.starts_with(other));
    let watched = files.iter().filter(|file| file.is_rust() && !is_free(&file.path) && !file.path.contains("/tests/"));
    let created = |line: &str| PARTS.iter().copied().find(|part| line.contains(part));
    watched
        .flat_map(|file| {
            let found = file.text.lines().enumerate().filter_map(move |(at, line)| Some((at, created(line)?)));
            found.map(|(at, part)| {
                format!("assembly: {}:{}: `{part}` belongs to `Gastown::builder`, in {FACADE}", file.path, at + 1)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> usize {
        offences(&[SourceFile::new(path, "fn run() {\n    let service = TownService::new(ports);\n}")]).len()
    }

    #[test]
    fn second_assembly_is_found() {
        for path in ["crates/gastown-server/src/serve.rs", "crates/gastown/examples/own.rs", "xtask/src/demo/run.rs"] {
            assert_eq!(found(path), 1, "{path}");
        }
    }

    #[test]
    fn facade_definitions_and_tests_may_assemble() {
        for path in ["crates/gastown/src/plan.rs", "crates/gastown-http/src/parts.rs", "crates/a/tests/it/stage.rs"] {
            assert_eq!(found(path), 0, "{path}");
        }
    }
}
