//! `cargo xtask test`: every check of this repository, one after the other.

mod cargo_deny;
mod carry_out;
mod excerpt;
mod figures;
mod files;
mod harness;
pub(crate) mod logged;
mod mutants;
mod quick;
mod report;
pub(crate) mod requirements;
mod slowest;
mod step;
mod tally;
mod trees;
#[cfg(test)]
mod workflows;

use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;

use crate::interrupt::Interrupt;
use crate::workspace;
use step::Step;

#[cfg(test)]
pub(crate) use cargo_deny::PACKAGE as CARGO_DENY;
#[cfg(test)]
pub(crate) use files::PACKAGE as FILE_CHECKS;

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Runs only quick checks: format, tidy, and tests that need neither Postgres nor Node.js nor minutes. Lists what it
    /// left out.
    #[arg(long, conflicts_with_all = ["only", "list"])]
    quick: bool,
    /// Lists the steps without running them.
    #[arg(long)]
    list: bool,
    /// Breaks a copy of the code in known ways and checks that a test fails for each. With names, runs only those
    /// mutants.
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["only", "list", "quick"])]
    mutants: Option<Vec<String>>,
}

/// The part of the tests that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Full,
    Quick,
}

impl Args {
    fn wants(&self, step: Step) -> bool {
        let is_named = self.only.is_empty() || self.only.contains(&step);
        is_named && (!self.quick || quick::STEPS.contains(&step))
    }
}

/// Runs all chosen steps in order, even after a failure. The last line printed counts passed and failed checks.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(names) = &args.mutants {
        return mutants::run(names).await;
    }
    if args.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let all = Step::value_variants();
    let (scope, not_run) = if args.quick { (Scope::Quick, quick::not_run(all)) } else { (Scope::Full, Vec::new()) };
    let steps: Vec<Step> = all.iter().copied().filter(|step| args.wants(*step)).collect();
    std::fs::create_dir_all(workspace::log_folder())?;
    let interrupt = Interrupt::listen()?;
    let provided = requirements::provide(&steps, scope, &interrupt).await?;

    let mut reports = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let heading = format!("[{}/{}] {:<6}", index + 1, steps.len(), step.name());
        let report = report::timed(*step, carry_out::carry_out(*step, scope, &heading, &provided, &interrupt)).await?;
        report.print(&heading);
        reports.push(report);
    }
    drop(provided);
    Ok(report::conclude(&reports, &not_run, started.elapsed()))
}

fn list() {
    for step in Step::value_variants() {
        println!("{:<8} {}", step.name(), step.about());
    }
}
