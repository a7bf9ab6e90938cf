use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The conditions of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditions {
    command: String,
    quick: bool,
    /// The commit, with `-dirty` after it if files were changed.
    commit: String,
    cores: usize,
    date: DateTime<Utc>,
}

impl Conditions {
    #[expect(clippy::disallowed_methods, reason = "the date of a measurement is that of the wall clock")]
    pub(super) fn now(command: &str, quick: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Self { command: command.to_owned(), quick, commit: commit(), cores, date: Utc::now() }
    }

    /// Returns commit and time.
    pub(super) fn when(&self) -> String {
        format!("{} of {}", self.commit, self.date.format("%Y-%m-%d %H:%M"))
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, quick, commit, cores, date } = self;
        let (quick, date) = (if *quick { " --quick" } else { "" }, date.format("%Y-%m-%d %H:%M"));
        write!(f, "{command}{quick} at {commit}, {cores} cores, {date} UTC")
    }
}

fn commit() -> String {
    let mut git = std::process::Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude=*"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
