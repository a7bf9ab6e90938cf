use std::fmt;
use std::process::Command;

use clap::ValueEnum;

use crate::cargo::cargo;
use crate::test::harness::Harness;
use crate::test::quick::LeftOut;

/// The steps in their order. Those that fail fast come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Step {
    Fmt,
    Tidy,
    Clippy,
    Doc,
    Trees,
    Package,
    Drift,
    Files,
    Book,
    Tests,
    Attack,
    Deny,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Trees => "trees",
            Self::Package => "package",
            Self::Drift => "drift",
            Self::Files => "files",
            Self::Book => "book",
            Self::Tests => "tests",
            Self::Attack => "attack",
            Self::Deny => "deny",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Fmt => "the code is formatted",
            Self::Tidy => {
                "dependency rule, names, manifests, texts, references, links, snippets, prose, matches, lengths"
            }
            Self::Clippy => "no lint warnings",
            Self::Doc => "the documentation builds without warnings",
            Self::Trees => "what a normal build, the domain and an embedder must not contain",
            Self::Package => "each library can be published",
            Self::Drift => "the generated files match the schema, the types and the lifecycle",
            Self::Files => "workflows are sound, and they and the files of docs/deploy match their schemas",
            Self::Book => "the book builds, and its links lead somewhere",
            Self::Tests => "all tests, on SQLite and Postgres, with the TypeScript clients",
            Self::Attack => "each limit of the server holds, in a short form of `cargo xtask attack`",
            Self::Deny => "licences, bans and sources of dependencies",
        }
    }
}

/// One call of Cargo.
#[derive(Clone, Copy)]
pub(super) struct CargoLine {
    pub(super) arguments: &'static [&'static str],
    pub(super) environment: Option<(&'static str, &'static str)>,
    /// The program that runs its tests, if it runs tests.
    pub(super) harness: Option<Harness>,
    /// Tests that it leaves out.
    pub(super) left_out: &'static [LeftOut],
}

pub(super) const fn line(arguments: &'static [&'static str]) -> CargoLine {
    CargoLine { arguments, environment: None, harness: None, left_out: &[] }
}

pub(super) const FMT: CargoLine = line(&["fmt", "--all", "--", "--check"]);
// The tests of the workspace enable every feature, so `--all-features` needs no second build.
pub(super) const CLIPPY: CargoLine =
    line(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]);
pub(super) const DOC: CargoLine =
    CargoLine { environment: Some(("RUSTDOCFLAGS", "-D warnings")), ..line(&["doc", "--workspace", "--no-deps"]) };
/// Packs the crates that are published, with the dependencies that a registry would resolve. Nothing is compiled again, and the
/// index is that of the build.
pub(super) const PACKAGE: CargoLine = line(&[
    "package",
    "--workspace",
    "--exclude=ephemeral-db",
    "--exclude=gastown-bench",
    "--exclude=gastown-fuzz",
    "--exclude=xtask",
    "--no-verify",
    "--allow-dirty",
    "--offline",
]);
pub(super) const DRIFT: CargoLine = line(&["xtask", "codegen", "--check"]);
pub(super) const ATTACK: CargoLine = line(&["xtask", "attack", "--quick"]);
// Not `--offline`: crates of other platforms are no part of a build here, and may have to be downloaded first.
pub(super) const DENY: CargoLine = line(&["deny", "--locked", "check", "bans", "licenses", "sources"]);
/// The tests with the runner that every toolchain has.
pub(super) const TESTS: &[CargoLine] =
    &[CargoLine { harness: Some(Harness::Libtest), ..line(&["test", "--workspace", "--no-fail-fast"]) }];
/// The tests with one process per test, several at once. Nextest runs no documentation tests.
pub(super) const TESTS_WITH_NEXTEST: &[CargoLine] = &[
    CargoLine {
        harness: Some(Harness::Nextest),
        ..line(&["nextest", "run", "--workspace", "--no-fail-fast", "--failure-output", "final"])
    },
    CargoLine { harness: Some(Harness::Libtest), ..line(&["test", "--workspace", "--doc", "--no-fail-fast"]) },
];

impl CargoLine {
    pub(super) fn command(&self) -> Command {
        let mut command = cargo();
        command.args(self.arguments).args(self.filter()).envs(self.environment);
        // The log is plain text. rustfmt would use the colours of the terminal even without one.
        command.env("CARGO_TERM_COLOR", "never").env("TERM", "dumb");
        // A check writes no snapshots. The failure shows the difference.
        command.env("INSTA_UPDATE", "no");
        command
    }

    /// Returns the arguments after `--` that leave tests out. Both runners accept them.
    fn filter(&self) -> Vec<&'static str> {
        let parts: Vec<_> = self.left_out.iter().flat_map(|suite| suite.tests).collect();
        let separator = (!parts.is_empty()).then_some("--");
        separator.into_iter().chain(parts.into_iter().flat_map(|part| ["--skip", part])).collect()
    }
}

impl fmt::Display for CargoLine {
    /// Formats the line as it is typed.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.environment {
            write!(out, "{name}='{value}' ")?;
        }
        write!(out, "cargo {}", [self.arguments, &self.filter()].concat().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: &[LeftOut] = &[LeftOut { about: "slow", tests: &["a", "b::c"] }];

    #[test]
    fn a_line_is_printed_as_it_is_typed() {
        assert_eq!(DOC.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps");
        assert_eq!(FMT.to_string(), "cargo fmt --all -- --check");
        let filtered = CargoLine { left_out: SLOW, ..line(&["test"]) };
        assert_eq!(filtered.to_string(), "cargo test -- --skip a --skip b::c");
    }

    #[test]
    fn a_step_has_the_same_name_on_the_command_line_and_in_the_report() {
        for step in Step::value_variants() {
            assert_eq!(step.to_possible_value().unwrap().get_name(), step.name());
        }
    }
}
