//! The CPU time of each kind of request, from the figures of earlier runs.

use std::path::Path;

use anyhow::Context as _;

use super::traffic::{Request, Traffic};
use crate::report::{self, Report};

/// The CPU time of one request, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) server_ms: f64,
    pub(crate) postgres_ms: f64,
}

/// The CPU time of each kind of request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Costs {
    status: Cost,
    list: Cost,
    heartbeat: Cost,
    operation: Cost,
}

/// The cores that are busy on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) server_cores: f64,
    pub(crate) postgres_cores: f64,
}

impl Costs {
    /// Reads the figures of the last `reads` and `lifecycle` in a folder.
    pub(crate) fn measured(folder: &Path) -> anyhow::Result<Self> {
        let reads = last(folder, "reads")?;
        let lifecycle = last(folder, "lifecycle")?;
        // A pair is two operations. A stop and a start take fewer statements than a create and a destroy.
        let pair = cost(&lifecycle, "create + destroy")?;
        Ok(Self {
            status: cost(&reads, "getTownStatus")?,
            list: cost(&reads, "listTowns")?,
            heartbeat: cost(&reads, "heartbeat")?,
            operation: Cost { server_ms: pair.server_ms / 2.0, postgres_ms: pair.postgres_ms / 2.0 },
        })
    }

    pub(crate) const fn of(&self, request: Request) -> Cost {
        match request {
            Request::Status => self.status,
            Request::List => self.list,
            Request::Heartbeat => self.heartbeat,
            Request::Operation => self.operation,
        }
    }

    /// Returns the cores that this traffic keeps busy.
    pub(crate) fn load_of(&self, traffic: Traffic) -> Load {
        let cores = |of: fn(Cost) -> f64| {
            Request::ALL.into_iter().map(|request| traffic.of(request) * of(self.of(request)) / 1000.0).sum()
        };
        Load { server_cores: cores(|cost| cost.server_ms), postgres_cores: cores(|cost| cost.postgres_ms) }
    }
}

fn last(folder: &Path, command: &str) -> anyhow::Result<Report> {
    let path = folder.join(format!("{command}.json"));
    let missing = || format!("{} has no figures; run `cargo xtask bench {command}` first", path.display());
    report::previous(&path).with_context(missing)
}

fn cost(report: &Report, subject: &str) -> anyhow::Result<Cost> {
    let figure = |what: &str| {
        let name = format!("{subject} {what}");
        report.value(&name).with_context(|| format!("the last run has no figure \"{name}\"; run it again"))
    };
    Ok(Cost { server_ms: figure("server CPU")?, postgres_ms: figure("Postgres CPU")? })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::{Figure, Unit};

    /// Returns costs in which a request takes twice as much of the server as of Postgres.
    pub(in crate::scale) fn sample() -> Costs {
        let cost = |postgres_ms| Cost { server_ms: 2.0 * postgres_ms, postgres_ms };
        Costs { status: cost(0.1), list: cost(0.1), heartbeat: cost(0.1), operation: cost(1.0) }
    }

    fn write(folder: &Path, command: &str, subjects: &[&str]) {
        let figure = |name: String, value| Figure { name, unit: Unit::Milliseconds, value, reference: None };
        let figures = subjects.iter().flat_map(|subject| {
            [figure(format!("{subject} server CPU"), 4.0), figure(format!("{subject} Postgres CPU"), 2.0)]
        });
        Report::new(command, false, figures.collect()).write(&folder.join(format!("{command}.json"))).unwrap();
    }

    #[test]
    fn costs_are_those_of_the_last_runs() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Costs::measured(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("cargo xtask bench reads"), "{missing}");
        write(folder.path(), "reads", &["getTownStatus", "listTowns", "heartbeat"]);
        write(folder.path(), "lifecycle", &["create + destroy"]);
        let costs = Costs::measured(folder.path()).unwrap();
        assert_eq!(costs.of(Request::Heartbeat), Cost { server_ms: 4.0, postgres_ms: 2.0 });
        assert_eq!(costs.of(Request::Operation), Cost { server_ms: 2.0, postgres_ms: 1.0 });
    }

    #[test]
    fn busy_cores_are_rate_times_cost() {
        let load = sample().load_of(Traffic::at_peak(86_400));
        // 3 x (100 + 20 + 480) requests of 0.1 ms and 3 x 2 of 1 ms in a second.
        assert!((load.postgres_cores - 0.186).abs() < 1e-9, "{load:?}");
        assert!((load.server_cores - 0.372).abs() < 1e-9, "{load:?}");
    }
}
