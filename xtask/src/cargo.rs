//! Cargo, called from a program that Cargo runs.

use std::process::Command;

use crate::workspace;

/// Cargo at the root of the workspace, the same one that runs us.
///
/// Without what Cargo says about *this* package: build scripts that watch these variables would run again, and
/// everything behind them be compiled again, at each change between `cargo xtask` and plain `cargo`.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_this_package) {
            command.env_remove(name);
        }
    }
    command
}

fn is_about_this_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_sets_for_cargo_is_passed_on() {
        assert!(is_about_this_package("CARGO_MANIFEST_DIR"));
        assert!(is_about_this_package("CARGO_PKG_NAME"));
        for variable in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_BUILD_JOBS", "PATH"] {
            assert!(!is_about_this_package(variable), "{variable}");
        }
    }
}
