use std::fmt;
use std::process::Command;

use clap::ValueEnum;

use crate::cargo::cargo;
use crate::test::harness::Harness;
use crate::test::quick::LeftOut;

/// The steps, in their order: what fails fast comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Step {
    Fmt,
    Tidy,
    Clippy,
    Doc,
    Trees,
    Drift,
    Tests,
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
            Self::Drift => "drift",
            Self::Tests => "tests",
            Self::Deny => "deny",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Fmt => "the code is formatted",
            Self::Tidy => "dependency rule, names, manifests, texts, references, prose, matches, lengths",
            Self::Clippy => "no lint has anything to say",
            Self::Doc => "the documentation builds without a warning",
            Self::Trees => "no mock and no second TLS stack in a normal build, no I/O in domain and orchestrator",
            Self::Drift => "the generated files are those of the schema",
            Self::Tests => "all tests, on SQLite and Postgres, the TypeScript client among them",
            Self::Deny => "licences, bans and sources of dependencies",
        }
    }
}

/// One call of cargo.
#[derive(Clone, Copy)]
pub(super) struct CargoLine {
    pub(super) arguments: &'static [&'static str],
    pub(super) environment: Option<(&'static str, &'static str)>,
    /// The program that runs its tests, where it has tests.
    pub(super) harness: Option<Harness>,
    /// Tests that it does not run.
    pub(super) left_out: &'static [LeftOut],
}

pub(super) const fn line(arguments: &'static [&'static str]) -> CargoLine {
    CargoLine { arguments, environment: None, harness: None, left_out: &[] }
}

pub(super) const FMT: CargoLine = line(&["fmt", "--all", "--", "--check"]);
// The tests of the workspace turn every feature on, so all of them cost no second build here.
pub(super) const CLIPPY: CargoLine =
    line(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]);
pub(super) const DOC: CargoLine =
    CargoLine { environment: Some(("RUSTDOCFLAGS", "-D warnings")), ..line(&["doc", "--workspace", "--no-deps"]) };
pub(super) const DRIFT: CargoLine = line(&["xtask", "codegen", "--check"]);
pub(super) const DENY: CargoLine = line(&["deny", "--offline", "check", "bans", "licenses", "sources"]);
/// What every toolchain has.
pub(super) const TESTS: &[CargoLine] =
    &[CargoLine { harness: Some(Harness::Libtest), ..line(&["test", "--workspace", "--no-fail-fast"]) }];
/// A process per test, several at once; it does not know documentation tests.
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
        // The log is text. rustfmt goes by what the terminal can do, even where there is none.
        command.env("CARGO_TERM_COLOR", "never").env("TERM", "dumb");
        // A check leaves no files behind; the difference stands in the failure's text.
        command.env("INSTA_UPDATE", "no");
        command
    }

    /// Returns the arguments after `--` that leave tests out; both runners take them.
    fn filter(&self) -> Vec<&'static str> {
        let parts: Vec<_> = self.left_out.iter().flat_map(|suite| suite.tests).collect();
        let separator = (!parts.is_empty()).then_some("--");
        separator.into_iter().chain(parts.into_iter().flat_map(|part| ["--skip", part])).collect()
    }
}

impl fmt::Display for CargoLine {
    /// As one would type it.
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
    fn a_line_is_printed_as_one_would_type_it() {
        assert_eq!(DOC.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps");
        assert_eq!(FMT.to_string(), "cargo fmt --all -- --check");
        let filtered = CargoLine { left_out: SLOW, ..line(&["test"]) };
        assert_eq!(filtered.to_string(), "cargo test -- --skip a --skip b::c");
    }

    #[test]
    fn a_step_is_called_on_the_command_line_as_in_the_report() {
        for step in Step::value_variants() {
            assert_eq!(step.to_possible_value().unwrap().get_name(), step.name());
        }
    }
}
