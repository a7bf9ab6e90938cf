//! Packages that must be absent from a build, whatever the features of the workspace add up to.

use super::step::{CargoLine, line};

/// The mocks, which are for tests, every TLS stack but the chosen one, and all I/O below the domain and the orchestrator.
/// A service with Postgres and Fly has no simulator, no command line and no SQLite. The binary has the simulator for `dev`.
pub(super) const ABSENT: &[CargoLine] = &[
    line(&["tree", "--workspace", "--edges", "normal", "--invert", "mockall"]),
    line(&["tree", "--workspace", "--edges", "normal", "--invert", "ring"]),
    line(&["tree", "--workspace", "--edges", "normal", "--invert", "native-tls"]),
    line(&["tree", "--workspace", "--edges", "normal", "--invert", "openssl"]),
    line(&["tree", "-p", "gastown-domain", "-p", "gastown-orchestrator", "--edges", "normal", "--invert", "axum"]),
    line(&["tree", "-p", "gastown-domain", "-p", "gastown-orchestrator", "--edges", "normal", "--invert", "reqwest"]),
    line(&["tree", "-p", "gastown-domain", "-p", "gastown-orchestrator", "--edges", "normal", "--invert", "sea-orm"]),
    line(&["tree", "-pgastown", "--no-default-features", "--features=postgres,fly", "-enormal", "-ifly-sim"]),
    line(&["tree", "-pgastown", "--no-default-features", "--features=postgres,fly", "-enormal", "-iclap"]),
    line(&["tree", "-pgastown", "--no-default-features", "--features=postgres,fly", "-enormal", "-ilibsqlite3-sys"]),
    line(&["tree", "-pgastown-server", "--no-default-features", "-enormal", "-ifly-sim"]),
];

/// Returns the output of `cargo tree --invert` if it found the package or failed. It prints nothing for a package that is
/// absent, and fails for one that is not in the graph at all. Its exit code is 0 in the first two cases.
pub(super) fn complaint(succeeded: bool, stdout: &str, stderr: &str) -> Option<String> {
    if !succeeded {
        return (!stderr.contains("did not match any packages")).then(|| stderr.to_owned());
    }
    (!stdout.trim().is_empty()).then(|| stdout.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_found_is_a_failure_although_cargo_succeeds() {
        let tree = "mockall v0.15.0\n└── gastown-domain v0.1.0\n";
        assert_eq!(complaint(true, tree, "").as_deref(), Some(tree));
    }

    #[test]
    fn absence_has_two_forms() {
        assert_eq!(complaint(true, "", "warning: nothing to print."), None);
        assert_eq!(complaint(false, "", "error: package ID specification `ring` did not match any packages"), None);
    }

    #[test]
    fn a_call_that_fails_for_another_reason_proves_nothing() {
        assert!(complaint(false, "", "error: failed to parse manifest").is_some());
    }
}
