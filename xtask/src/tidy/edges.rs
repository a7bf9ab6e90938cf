//! The dependency rule of the design, in which dependencies point inward.

use std::collections::BTreeSet;

use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::workspace;

/// The dependencies that one of our crates may have.
struct Rule {
    package: &'static str,
    /// Our crates that it may use outside its tests.
    may_use: &'static [&'static str],
    /// Our crates that its tests may use in addition.
    tests_may_use: &'static [&'static str],
    /// Families of other crates that it must not use.
    never: &'static [&'static str],
    /// True if its tests may use them nevertheless.
    tests_excepted: bool,
}

/// Mocks of the ports, databases and the simulated Fly.
const TEST_SUPPORT: &[&str] = &["gastown-domain", "ephemeral-db", "fly-sim", "gastown-sandbox-sim"];
/// All I/O, which is databases and HTTP in both directions.
const IO: &[&str] = &["sea-orm", "sqlx", "reqwest", "axum", "hyper", "tower"];
/// All I/O, and what a small program does not need.
const IO_AND_RUNTIME: &[&str] = &["sea-orm", "sqlx", "reqwest", "axum", "hyper", "tower", "tokio", "clap"];
/// Families that an HTTP adapter must not use.
const STORAGE_AND_CALLS: &[&str] = &["sea-orm", "sqlx", "reqwest"];
const STORAGE: &[&str] = &["sea-orm", "sqlx"];

const RULES: &[Rule] = &[
    Rule { package: "gastown-domain", may_use: &[], tests_may_use: &[], never: IO, tests_excepted: false },
    adapter("gastown-persistence", &["gastown-domain", "migration"], &["axum", "reqwest"]),
    adapter("gastown-console", &["gastown-domain"], STORAGE_AND_CALLS),
    adapter("gastown-fly", &["gastown-domain"], STORAGE),
    adapter("gastown-jwt", &["gastown-domain"], IO),
    adapter("gastown-metrics", &["gastown-domain"], STORAGE_AND_CALLS),
    adapter("gastown-secrets", &["gastown-domain"], IO),
    adapter("gastown-sandbox", &["gastown-domain"], STORAGE),
    adapter("gastown-sandbox-check", &["gastown-domain", "gastown-sandbox", "gastown-secrets"], STORAGE),
    adapter("gastown-system", &["gastown-domain"], IO),
    // It belongs into sandbox images, so it stays small.
    Rule {
        package: "gastown-unseal",
        may_use: &["gastown-secrets"],
        tests_may_use: &[],
        never: IO_AND_RUNTIME,
        tests_excepted: false,
    },
    Rule {
        package: "gastown-orchestrator",
        may_use: &["gastown-domain"],
        tests_may_use: TEST_SUPPORT,
        never: IO,
        tests_excepted: false,
    },
    adapter("gastown-http", &["gastown-domain", "gastown-orchestrator"], STORAGE_AND_CALLS),
    adapter(
        "gastown",
        &[
            "fly-sim",
            "gastown-domain",
            "gastown-fly",
            "gastown-http",
            "gastown-jwt",
            "gastown-metrics",
            "gastown-orchestrator",
            "gastown-persistence",
            "gastown-sandbox",
            "gastown-sandbox-sim",
            "gastown-secrets",
            "gastown-system",
        ],
        &["sea-orm", "sqlx"],
    ),
    adapter(
        "gastown-server",
        &[
            "gastown",
            "fly-sim",
            "gastown-console",
            "gastown-domain",
            "gastown-fly",
            "gastown-http",
            "gastown-jwt",
            "gastown-metrics",
            "gastown-orchestrator",
            "gastown-persistence",
            "gastown-sandbox",
            "gastown-sandbox-check",
            "gastown-sandbox-sim",
            "gastown-secrets",
            "gastown-system",
            "gastown-unseal",
            "migration",
        ],
        &[],
    ),
    // The simulator stands on its own: it uses none of our crates, and neither do its tests.
    Rule { package: "fly-sim", may_use: &[], tests_may_use: &[], never: STORAGE, tests_excepted: false },
    adapter("gastown-sandbox-sim", &["fly-sim", "gastown-secrets"], STORAGE),
    adapter("ephemeral-db", &[], &["sea-orm"]),
    adapter("migration", &[], &["reqwest", "axum"]),
    // The benchmark starts the binaries of the server and of the simulator as processes, so it depends on neither.
    adapter("gastown-bench", &["ephemeral-db", "gastown-domain", "gastown-jwt", "gastown-secrets"], &[]),
    // The fuzz targets are the parsers of all adapters and of the server.
    adapter(
        "gastown-fuzz",
        &[
            "gastown-domain",
            "gastown-fly",
            "gastown-http",
            "gastown-jwt",
            "gastown-sandbox",
            "gastown-secrets",
            "gastown-server",
        ],
        STORAGE_AND_CALLS,
    ),
    // `chaos` needs the simulated Fly, the key of its sandboxes and the tokens of its users.
    adapter(
        "xtask",
        &[
            "ephemeral-db",
            "fly-sim",
            "gastown-domain",
            "gastown-http",
            "gastown-jwt",
            "gastown-sandbox-sim",
            "gastown-secrets",
            "migration",
        ],
        &[],
    ),
];

const fn adapter(package: &'static str, may_use: &'static [&'static str], never: &'static [&'static str]) -> Rule {
    Rule { package, may_use, tests_may_use: TEST_SUPPORT, never, tests_excepted: true }
}

/// A dependency of one of our crates, as its manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    from: String,
    to: String,
    /// True for a dependency of tests only.
    for_tests: bool,
    /// True if the other crate is ours too.
    ours: bool,
}

/// Returns the dependencies of all our crates.
pub(super) fn of_this_workspace() -> anyhow::Result<BTreeSet<Edge>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace::root().join("Cargo.toml")).no_deps();
    let metadata = command.exec().context("cargo metadata failed")?;
    let mut edges = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let from = package.name.to_string();
        // An edge to itself makes a crate without dependencies visible, because each crate must have a rule.
        edges.insert(Edge { from: from.clone(), to: from.clone(), for_tests: false, ours: true });
        edges.extend(package.dependencies.iter().map(|dependency| Edge {
            from: from.clone(),
            to: dependency.name.clone(),
            for_tests: dependency.kind == DependencyKind::Development,
            ours: dependency.path.is_some(),
        }));
    }
    Ok(edges)
}

/// Returns the edges that no rule allows.
pub(super) fn offences(edges: &BTreeSet<Edge>) -> Vec<String> {
    edges.iter().filter_map(offence).collect()
}

fn offence(edge: &Edge) -> Option<String> {
    let Edge { from, to, for_tests, ours } = edge;
    let Some(rule) = RULES.iter().find(|rule| rule.package == from) else {
        return (from == to).then(|| format!("edges: {from} has no rule in xtask/src/tidy/edges.rs"));
    };
    let kind = if *for_tests { "in its tests" } else { "outside its tests" };
    if *ours {
        let named = |list: &[&str]| list.contains(&to.as_str());
        let allowed = from == to || named(rule.may_use) || (*for_tests && named(rule.tests_may_use));
        return (!allowed).then(|| format!("edges: {from} must not depend on {to} {kind}"));
    }
    let excepted = *for_tests && rule.tests_excepted;
    let refused = !excepted && rule.never.iter().any(|never| is_of_family(to, never));
    refused.then(|| format!("edges: {from} must not depend on {to} {kind}"))
}

/// Returns true for `sea-orm-migration` and `sea-orm`, but not for `axumatic` and `axum`.
fn is_of_family(package: &str, family: &str) -> bool {
    package.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, for_tests: bool) -> Edge {
        let ours = to.starts_with("gastown-") || ["fly-sim", "migration", "ephemeral-db", "xtask"].contains(&to);
        Edge { from: from.into(), to: to.into(), for_tests, ours }
    }

    #[test]
    fn the_edges_of_this_workspace_are_allowed() {
        let edges = of_this_workspace().unwrap();
        assert!(edges.contains(&edge("gastown-server", "gastown-domain", false)), "the manifests were read");
        assert_eq!(offences(&edges), Vec::<String>::new());
    }

    #[test]
    fn each_forbidden_dependency_is_found() {
        for (from, to, for_tests) in [
            ("gastown-domain", "gastown-orchestrator", false),
            ("gastown-domain", "fly-sim", true),
            ("gastown-domain", "reqwest", true),
            ("gastown-orchestrator", "gastown-persistence", false),
            ("gastown-orchestrator", "gastown-fly", true),
            ("gastown-orchestrator", "sea-orm", false),
            ("gastown-orchestrator", "axum", false),
            ("gastown-fly", "gastown-persistence", false),
            ("gastown-fly", "fly-sim", false),
            ("fly-sim", "gastown-secrets", false),
            ("fly-sim", "gastown-domain", true),
            ("gastown-http", "gastown-persistence", true),
            ("gastown-http", "sea-orm-migration", false),
            ("gastown-http", "reqwest", false),
            ("gastown-server", "ephemeral-db", false),
            ("gastown-server", "xtask", false),
            ("gastown-bench", "gastown-server", false),
            ("migration", "gastown-domain", false),
        ] {
            let found = offences(&BTreeSet::from([edge(from, to, for_tests)]));
            let [one] = found.as_slice() else { panic!("{from} -> {to}: {found:?}") };
            assert!(one.contains(from) && one.contains(to), "{one}");
        }
    }

    #[test]
    fn tests_may_use_test_support() {
        for (from, to) in
            [("gastown-fly", "fly-sim"), ("gastown-http", "reqwest"), ("gastown-persistence", "ephemeral-db")]
        {
            assert_eq!(offences(&BTreeSet::from([edge(from, to, true)])), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        let found = offences(&BTreeSet::from([edge("gastown-new", "gastown-new", false)]));
        assert_eq!(found, ["edges: gastown-new has no rule in xtask/src/tidy/edges.rs"]);
    }

    #[test]
    fn a_family_is_matched_by_whole_words() {
        assert!(is_of_family("sea-orm", "sea-orm") && is_of_family("sea-orm-codegen", "sea-orm"));
        assert!(!is_of_family("axumatic", "axum") && !is_of_family("tokio", "axum"));
    }
}
