//! `cargo xtask test --quick`: what an engineer runs between two edits.

use std::num::NonZero;

use super::step::{CargoLine, Step, line};
use crate::test::harness::Harness;

/// The steps that are quick. Clippy is not: after a change in the domain it checks every crate once more.
pub(super) const STEPS: &[Step] = &[Step::Fmt, Step::Tidy, Step::Tests];

/// Tests that are left out.
pub(super) struct LeftOut {
    pub(super) about: &'static str,
    /// Parts of the paths of its tests, as the runners take them.
    pub(super) tests: &'static [&'static str],
}

/// Each suite that is left out. A part that no test has any more leaves out nothing.
pub(super) const LEFT_OUT: &[LeftOut] = &[
    LeftOut { about: "every fault at every call, in the orchestrator and over HTTP", tests: &["enumerated"] },
    LeftOut { about: "sampled seeds and storms", tests: &["sampled", "storm"] },
    LeftOut { about: "rolling upgrades", tests: &["rolling_upgrade"] },
    LeftOut {
        about: "Postgres: all tests that need one, the crates ephemeral-db and migration",
        tests: &[
            "postgres",
            "pgbouncer",
            "unknown_commits",
            "cut_commits",
            "outages",
            "connect::tests",
            "dialect::tests",
            "rigs::tests",
            "standby",
            "stranded::tests",
            "tx::tests",
        ],
    },
    LeftOut {
        about: "Node.js and Python: the TypeScript clients, the JavaScript of pages, the dashboard, libsodium, the clients of Fly",
        tests: &[
            "typescript",
            "client_example",
            "interop",
            "javascript",
            "foreign_clients",
            "wire_reference",
            "dashboard",
        ],
    },
    LeftOut { about: "documentation tests", tests: &[] },
];

/// The same packages are built as by the full run, with the same features: nothing is compiled twice.
pub(super) const TESTS: CargoLine = CargoLine {
    harness: Some(Harness::Libtest),
    left_out: LEFT_OUT,
    ..line(&["test", "--workspace", "--exclude", "ephemeral-db", "--exclude", "migration", "--tests", "--no-fail-fast"])
};
pub(super) const TESTS_WITH_NEXTEST: CargoLine = CargoLine {
    harness: Some(Harness::Nextest),
    left_out: LEFT_OUT,
    ..line(&[
        "nextest",
        "run",
        "--workspace",
        "--exclude",
        "ephemeral-db",
        "--exclude",
        "migration",
        "--no-fail-fast",
        "--failure-output",
        "final",
    ])
};

/// Tests that run at once, for each core. Most of them wait for timers most of the time.
const TESTS_PER_CORE: usize = 4;

/// Returns the variables by which both runners learn how many tests to run at once.
pub(super) fn threads() -> [(&'static str, String); 2] {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    ["NEXTEST_TEST_THREADS", "RUST_TEST_THREADS"].map(|name| (name, (cores * TESTS_PER_CORE).to_string()))
}

/// Returns what was not run, one line for each.
pub(super) fn not_run(all: &[Step]) -> Vec<String> {
    let steps: Vec<&str> = all.iter().filter(|step| !STEPS.contains(step)).map(|step| step.name()).collect();
    let tests = LEFT_OUT.iter().map(|suite| format!("tests: {}", suite.about));
    std::iter::once(format!("steps: {}", steps.join(", "))).chain(tests).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::workspace;

    #[test]
    fn each_part_still_leaves_something_out() {
        let files = workspace::source_files().unwrap();
        let is_test = |path: &str| path.starts_with("crates/");
        let rust: Vec<_> = files.iter().filter(|file| file.is_rust() && is_test(&file.path)).collect();
        for part in LEFT_OUT.iter().flat_map(|suite| suite.tests) {
            let name = part.trim_end_matches("::tests");
            let module = format!("mod {name};");
            let is_named =
                |text: &str| text.contains(&module) || (*part == "postgres" && text.contains("mod on_postgres"));
            assert!(rust.iter().any(|file| is_named(&file.text)), "no test is called {part}");
        }
    }

    #[test]
    fn steps_that_are_not_run_are_named() {
        let lines = not_run(Step::value_variants());
        assert_eq!(lines[0], "steps: clippy, doc, trees, package, drift, files, book, attack, deny");
        assert_eq!(lines.len(), 1 + LEFT_OUT.len());
    }
}
