//! Schemathesis, a program from `PyPI` that generates calls from an OpenAPI document and judges the answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fly_sim::FlySim;
use serde_json::{Value, json};

use super::exceptions::Exceptions;
use super::fly_sim::write;
use super::world;
use crate::interrupt::Interrupt;
use crate::pip::{Installer, Package};
use crate::test::logged;
use crate::test::requirements::install;

/// The package that is installed.
pub(crate) const PACKAGE: Package = Package {
    name: "schemathesis",
    version: "4.32.5",
    requirements: "crates/fly-sim/fuzz/requirements.txt",
    program: "st",
    // For a download of ten megabytes, with pip's own repeats.
    timeout: Duration::from_secs(300),
};
/// The judgements on an answer. Others are about inputs that Fly treats as its document does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// The phases. The first two are the same in each run, and the last repeats until the time is over.
const PHASES: &str = "examples,coverage,fuzzing";
const TITLE: &str = "fuzzing fly-sim";

/// The installed program.
pub(super) struct Schemathesis(Installer);

/// The result of a run.
pub(super) struct Judged {
    /// The failures as the program shows them, if there are any.
    pub(super) failures: Option<String>,
}

impl Schemathesis {
    /// The file with everything that was sent and answered, one JSON object a line.
    pub(super) const REPORT: &str = "answers.ndjson";

    /// Finds the program or installs it.
    pub(super) async fn provide(interrupt: &Interrupt) -> anyhow::Result<Self> {
        let installer = Installer::of(PACKAGE);
        if installer.is_done() {
            return Ok(Self(installer));
        }
        if !installer.has_pip() {
            install(&["python3-pip"], interrupt).await.context("Python 3.11 or later with pip is required")?;
        }
        match installer.install("installing Schemathesis", interrupt).await? {
            Ok(()) => Ok(Self(installer)),
            Err(cause) => bail!("Schemathesis cannot be installed, which needs Python 3.11 or later. {cause}"),
        }
    }

    /// Calls the simulator for some seconds, with inputs from a seed.
    pub(super) async fn run(
        &self,
        sim: &FlySim,
        document: &Value,
        exceptions: &Exceptions,
        folder: &Path,
        (seconds, seed): (u64, u64),
        interrupt: &Interrupt,
    ) -> anyhow::Result<Judged> {
        write(folder, "openapi.json", &document.to_string())?;
        write(folder, "settings.toml", &settings(sim, exceptions)?)?;
        let mut command = self.0.command();
        command.current_dir(folder).args(["--config-file", "settings.toml", "run", "openapi.json", "--no-color"]);
        command.args(["--url", &format!("{}/v1", sim.url()), "--header", "Authorization: Bearer any"]);
        command.args(["--checks", CHECKS, "--phases", PHASES, "--continue-on-failure", "--no-shrink"]);
        command.args(["--max-time", &seconds.to_string(), "--seed", &seed.to_string()]);
        command.args(["--generation-database", "none", "--request-timeout", "20"]);
        command.args(["--report", "ndjson", "--report-ndjson-path", Self::REPORT]);
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let run = logged::run(command, &folder.join("schemathesis.log"), TITLE, interrupt).await?;
        Ok(Judged { failures: (!run.succeeded).then(|| shown(&run.text)) })
    }
}

/// Returns the settings file.
fn settings(sim: &FlySim, exceptions: &Exceptions) -> anyhow::Result<String> {
    let mut settings = world::settings(sim);
    let mut operations = world::operations();
    operations.extend(exceptions.server_errors().map(|(operation, statuses)| {
        let mut expected = vec!["2xx".to_owned(), "3xx".to_owned(), "4xx".to_owned()];
        expected.extend(statuses.iter().map(ToString::to_string));
        json!({ "include-name": operation, "checks": { "not_a_server_error": { "expected-statuses": expected } } })
    }));
    settings.insert("operations", Value::Array(operations));
    toml::to_string(&settings).context("cannot write the settings of Schemathesis")
}

/// Returns the output from the failures on, or all of it if it stopped before.
fn shown(text: &str) -> String {
    let start = ["= FAILURES =", "= ERRORS ="].iter().filter_map(|title| text.find(title)).min();
    format!("Schemathesis found failures\n{}", text[start.unwrap_or(0)..].trim_end())
}
