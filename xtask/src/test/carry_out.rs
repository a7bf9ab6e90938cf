//! Runs one step.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use super::cargo_deny::CargoDeny;
use super::harness::Ran;
use super::requirements::Provided;
use super::step::{self, CargoLine, Step};
use super::{Scope, cargo_deny, excerpt, figures, files, logged, quick, trees};
use crate::book::Built;
use crate::interrupt::Interrupt;
use crate::{book, tidy, workspace};

/// How a step ended.
pub(super) enum Outcome {
    Passed {
        /// The tests that were run. A step without tests counts as one check.
        tests: Option<Ran>,
        remarks: Vec<String>,
    },
    Failed {
        tests: Option<Ran>,
        /// The part of the log that shows the failure.
        output: String,
        /// The command that repeats the failed part.
        repeat: String,
    },
}

/// Runs a step. An error means that it could not be run at all.
pub(super) async fn carry_out(
    step: Step,
    scope: Scope,
    title: &str,
    provided: &Provided,
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let session = Session { step, scope, title, provided, programs: None, interrupt };
    match step {
        Step::Fmt => session.lines(&[step::FMT]).await,
        Step::Tidy => tokio::task::spawn_blocking(tidy).await.context("tidy panicked")?,
        Step::Clippy => session.lines(&[step::CLIPPY]).await,
        Step::Doc => session.lines(&[step::DOC]).await,
        Step::Trees => session.trees().await,
        Step::Package => session.lines(&[step::PACKAGE]).await,
        Step::Drift => session.lines(&[step::DRIFT]).await,
        Step::Files => session.files().await,
        Step::Book => session.book().await,
        Step::Tests if scope == Scope::Quick && provided.nextest => session.tests(&[quick::TESTS_WITH_NEXTEST]).await,
        Step::Tests if scope == Scope::Quick => session.tests(&[quick::TESTS]).await,
        Step::Tests if provided.nextest => session.tests(step::TESTS_WITH_NEXTEST).await,
        Step::Tests => session.tests(step::TESTS).await,
        Step::Attack => session.lines(&[step::ATTACK]).await,
        Step::Deny => session.deny().await,
    }
}

fn tidy() -> anyhow::Result<Outcome> {
    let found = tidy::check()?;
    if found.offences.is_empty() {
        return Ok(Outcome::Passed { tests: None, remarks: found.remarks });
    }
    let repeat = "cargo xtask test --only tidy".to_owned();
    let output = format!("{}\n{} findings", found.offences.join("\n"), found.offences.len());
    Ok(Outcome::Failed { tests: None, output, repeat })
}

/// The command that repeats the step with the binary that it has installed.
const REPEAT_DENY: &str = "cargo xtask test --only deny";

const REPEAT_FILES: &str = "cargo xtask test --only files";

struct Session<'run> {
    step: Step,
    scope: Scope,
    title: &'run str,
    provided: &'run Provided,
    /// A folder of programs that were installed for this step.
    programs: Option<PathBuf>,
    interrupt: &'run Interrupt,
}

impl Session<'_> {
    /// Runs all lines, even after a failure.
    async fn lines(&self, lines: &[CargoLine]) -> anyhow::Result<Outcome> {
        let (mut output, mut repeat, mut tests) = (String::new(), Vec::new(), None::<Ran>);
        for (number, line) in lines.iter().enumerate() {
            let log = workspace::log_folder().join(format!("{}-{}.log", self.step.name(), number + 1));
            let run = logged::run(self.equipped(line.command())?, &log, self.title, self.interrupt);
            let run = run.await.with_context(|| line.to_string())?;
            if let Some(harness) = line.harness {
                tests.get_or_insert_default().read(harness, &run.text);
            }
            if !run.succeeded {
                writeln!(output, "{}\nfull output: {}", excerpt::of_failure(&run.text), log.display())?;
                repeat.push(line.to_string());
            }
        }
        if repeat.is_empty() && tests.as_ref().is_none_or(|tests| tests.tally.passed > 0 && tests.tally.failed == 0) {
            return Ok(Outcome::Passed { tests, remarks: Vec::new() });
        }
        if repeat.is_empty() {
            output.push_str("the runs succeeded, but their logs count no passed test\n");
            repeat.extend(lines.iter().map(ToString::to_string));
        }
        Ok(Outcome::Failed { tests, output, repeat: repeat.join(" && ") })
    }

    /// Runs the tests and adds the figures that they wrote.
    async fn tests(&self, lines: &[CargoLine]) -> anyhow::Result<Outcome> {
        figures::empty_folder()?;
        let mut outcome = self.lines(lines).await?;
        if let Outcome::Passed { remarks, .. } = &mut outcome {
            *remarks = figures::written()?;
        }
        Ok(outcome)
    }

    async fn trees(&self) -> anyhow::Result<Outcome> {
        let mut complaints = Vec::new();
        let mut repeat = Vec::new();
        for line in trees::ABSENT {
            let mut cargo = tokio::process::Command::from(line.command());
            let run = async { cargo.kill_on_drop(true).output().await.with_context(|| line.to_string()) };
            let run = self.interrupt.or(run).await?;
            let [stdout, stderr] = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            if let Some(complaint) = trees::complaint(run.status.success(), &stdout, &stderr) {
                complaints.push(complaint);
                repeat.push(line.to_string());
            }
        }
        if complaints.is_empty() {
            return Ok(Outcome::Passed { tests: None, remarks: Vec::new() });
        }
        Ok(Outcome::Failed { tests: None, output: complaints.join("\n"), repeat: repeat.join("; ") })
    }

    /// Checks the workflows and the files of a deployment. Where the programs cannot be installed, the run goes on and says so.
    async fn files(self) -> anyhow::Result<Outcome> {
        Ok(match files::check(self.title, self.interrupt).await? {
            files::Checked::Sound => Outcome::Passed { tests: None, remarks: Vec::new() },
            files::Checked::Broken(output) => Outcome::Failed { tests: None, output, repeat: REPEAT_FILES.to_owned() },
            files::Checked::NoPrograms(why) => Outcome::Passed { tests: None, remarks: vec![why] },
        })
    }

    /// Builds the book. Without mdBook the run goes on, because `tidy` has checked the links of the pages.
    async fn book(self) -> anyhow::Result<Outcome> {
        let repeat = "cargo xtask book".to_owned();
        Ok(match book::build(None, self.title, self.interrupt).await? {
            Built::Done { pages } => {
                Outcome::Passed { tests: None, remarks: vec![format!("the book has {pages} pages")] }
            }
            Built::Broken(output) => Outcome::Failed { tests: None, output, repeat },
            Built::NoProgram(why) => Outcome::Passed { tests: None, remarks: vec![why] },
        })
    }

    /// Judges the dependencies. Without `cargo deny` the step fails, because nothing was judged.
    async fn deny(self) -> anyhow::Result<Outcome> {
        let programs = match cargo_deny::provide(self.title, self.interrupt).await? {
            CargoDeny::Present => None,
            CargoDeny::Below(folder) => Some(folder),
            CargoDeny::Missing(output) => {
                return Ok(Outcome::Failed { tests: None, output, repeat: REPEAT_DENY.to_owned() });
            }
        };
        let is_ours = programs.is_some();
        let mut outcome = Session { programs, ..self }.lines(&[step::DENY]).await?;
        if let Outcome::Failed { repeat, .. } = &mut outcome
            && is_ours
        {
            REPEAT_DENY.clone_into(repeat);
        }
        Ok(outcome)
    }

    /// Passes the Postgres of this run, the folder for figures and the installed programs to the step, as environment
    /// variables.
    fn equipped(&self, mut command: Command) -> anyhow::Result<Command> {
        if self.step == Step::Tests {
            if self.scope == Scope::Quick {
                command.envs(quick::threads());
            }
            command.env(figures::VARIABLE, workspace::log_folder().join("figures"));
            command.envs(self.provided.postgres.as_ref().map(|database| ("TEST_DATABASE_URL", database.url())));
        }
        if let Some(programs) = &self.programs {
            command.env("PATH", cargo_deny::path_with(programs, std::env::var_os("PATH").as_deref())?);
        }
        Ok(command)
    }
}
