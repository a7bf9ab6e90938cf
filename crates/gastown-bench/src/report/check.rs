//! Figures with limits: a run fails if one is exceeded.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::conditions::Conditions;
use super::figure::Unit;

const COLUMNS: [&str; 4] = ["check", "value", "limit", ""];

/// A measured value with its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    name: String,
    unit: Unit,
    value: f64,
    limit: Limit,
    holds: bool,
}

/// The limit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Check {
    pub(crate) fn new(name: impl Into<String>, unit: Unit, value: f64, limit: Limit) -> Self {
        Self { name: name.into(), unit, value, limit, holds: limit.holds(value) }
    }

    /// Returns the check under a longer name.
    pub(crate) fn within(self, part: &str) -> Self {
        Self { name: format!("{part}: {}", self.name), ..self }
    }

    fn cells(&self) -> [String; 4] {
        let limit = match self.limit {
            Limit::AtMost(most) => format!("at most {}", self.unit.show(most)),
            Limit::AtLeast(least) => format!("at least {}", self.unit.show(least)),
        };
        let verdict = if self.holds { "" } else { "EXCEEDED" };
        [self.name.clone(), self.unit.show(self.value), limit, verdict.to_owned()]
    }
}

impl Limit {
    /// Returns false for a value that is no number.
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// The checks of one run.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    #[serde(flatten)]
    conditions: Conditions,
    checks: Vec<Check>,
    /// Parts of the run that ended with an error, and were not measured.
    errors: Vec<String>,
}

impl CheckReport {
    pub(crate) fn new(command: &str, quick: bool, checks: Vec<Check>, errors: Vec<String>) -> Self {
        Self { conditions: Conditions::now(command, quick), checks, errors }
    }

    /// Returns true if there are checks, all limits hold, and every part was measured.
    pub(crate) fn passes(&self) -> bool {
        !self.checks.is_empty() && self.errors.is_empty() && self.checks.iter().all(|check| check.holds)
    }

    /// Returns the table of all checks, and the errors below it.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
        table.set_header(COLUMNS);
        for check in &self.checks {
            table.add_row(check.cells());
        }
        for column in table.column_iter_mut().skip(1).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let errors = self.errors.iter().map(|error| format!("not measured: {error}"));
        let parts = [self.conditions.to_string(), table.to_string()].into_iter().chain(errors);
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Writes the checks as JSON.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        super::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, limit: Limit) -> Check {
        Check::new("a", Unit::Count, value, limit).within("row 1")
    }

    #[test]
    fn run_passes_only_if_every_limit_holds() {
        let (good, bad) = (check(2.0, Limit::AtMost(2.0)), check(2.5, Limit::AtMost(2.0)));
        let report = |checks: &[&Check], errors: &[&str]| {
            let errors = errors.iter().map(|error| (*error).to_owned()).collect();
            CheckReport::new("attack", true, checks.iter().map(|check| (*check).clone()).collect(), errors)
        };
        assert!(report(&[&good], &[]).passes());
        assert!(!report(&[&good, &bad], &[]).passes());
        assert!(!report(&[&good], &["row 2"]).passes());
        assert!(!report(&[], &[]).passes(), "a run without checks proves nothing");
        let table = report(&[&good, &bad], &["row 2: no answer"]).table();
        assert!(table.contains("row 1: a") && table.contains("at most 2") && table.contains("EXCEEDED"), "{table}");
        assert!(table.contains("not measured: row 2: no answer"), "{table}");
    }

    #[test]
    fn value_that_is_no_number_holds_no_limit() {
        for limit in [Limit::AtMost(1.0), Limit::AtLeast(1.0)] {
            assert!(!limit.holds(f64::NAN));
            assert!(limit.holds(1.0));
        }
        assert!(!Limit::AtLeast(1.0).holds(0.9));
    }
}
