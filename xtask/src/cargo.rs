//! Calls of Cargo from a program that Cargo runs.

use std::process::Command;

use crate::workspace;

/// Returns a command for the Cargo that runs us, at the root of the workspace.
///
/// The variables that describe *this* package are removed. Otherwise each change between `cargo xtask` and plain `cargo`
/// would run the build scripts that watch them, and compile again all that depends on these.
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
    fn settings_of_the_user_for_cargo_are_passed_on() {
        assert!(is_about_this_package("CARGO_MANIFEST_DIR"));
        assert!(is_about_this_package("CARGO_PKG_NAME"));
        for variable in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_BUILD_JOBS", "PATH"] {
            assert!(!is_about_this_package(variable), "{variable}");
        }
    }
}
