//! The figures of a run: as a table for people, and as JSON for the next run.

mod check;
mod conditions;
mod figure;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub(crate) use check::{Check, CheckReport, Limit};
use conditions::Conditions;
pub(crate) use figure::{Figure, Unit};

/// The figures of one run, and the conditions under which they were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    conditions: Conditions,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(command: &str, quick: bool, figures: Vec<Figure>) -> Self {
        Self { conditions: Conditions::now(command, quick), figures }
    }

    /// Returns the table, with the change since the previous run.
    pub(crate) fn table(&self, previous: Option<&Self>) -> String {
        let known = previous
            .map_or_else(|| "no previous run".to_owned(), |last| format!("compared with {}", last.conditions.when()));
        let table = table::render(&self.figures, previous.map_or(&[][..], |last| last.figures.as_slice()));
        format!("{}, {known}\n{table}", self.conditions)
    }

    /// Returns the value of the figure with this name, if there is one.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// Writes the figures as JSON.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write(self, path)
    }
}

fn write(report: &impl Serialize, path: &Path) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    let json = serde_json::to_string_pretty(report).with_context(failed)?;
    std::fs::write(path, json + "\n").with_context(failed)
}

/// Returns the report in a file. A missing file, or one of another version, counts as none.
pub(crate) fn previous(path: &Path) -> Option<Report> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Returns the folder for figures and logs, in the target directory.
pub(crate) fn folder() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).unwrap_or(Path::new(".")).join("target/bench")
}

/// Returns the file of a command's figures. Quick runs have a file of their own, because their figures differ.
pub(crate) fn default_path(command: &str, quick: bool) -> PathBuf {
    folder().join(if quick { format!("{command}-quick.json") } else { format!("{command}.json") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/reads.json");
        assert_eq!(previous(&path), None);
        let figure = |name: &str, unit, reference| Figure { name: name.to_owned(), unit, value: 1.5, reference };
        let figures = vec![figure("a", Unit::PerSecond, Some(3.0)), figure("b", Unit::Milliseconds, None)];
        let report = Report::new("reads", true, figures);
        report.write(&path).unwrap();
        assert_eq!(previous(&path), Some(report));
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(previous(&path), None);
    }

    #[test]
    fn table_names_the_previous_run_if_there_is_one() {
        let report = Report::new("reads", true, Vec::new());
        assert!(report.table(None).starts_with("reads --quick at "));
        assert!(report.table(None).contains("no previous run"));
        assert!(report.table(Some(&report)).contains(&format!("compared with {}", report.conditions.when())));
    }
}
