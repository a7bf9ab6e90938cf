//! `cargo xtask test`: every check of this repository, one after the other.

mod carry_out;
mod excerpt;
mod figures;
mod harness;
mod logged;
mod mutants;
mod quick;
mod report;
mod requirements;
mod slowest;
mod step;
mod tally;
mod trees;

use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;

use crate::interrupt::Interrupt;
use crate::workspace;
use step::Step;

/// Which checks.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Only what is quick: format, tidy, and the tests that need neither Postgres nor Node.js nor minutes. Names what it
    /// left out.
    #[arg(long, conflicts_with_all = ["only", "list"])]
    quick: bool,
    /// Lists the steps and does nothing.
    #[arg(long)]
    list: bool,
    /// Instead of the steps: breaks the code on purpose, in each of the ways that matter, and shows that the tests notice.
    /// With a name, only that one.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["only", "list", "quick"])]
    #[expect(clippy::option_option, reason = "absent, without a name, with a name")]
    mutants: Option<Option<String>>,
}

/// How much of the tests is run.
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

/// Runs the steps in their order, to the last one whatever fails. The last line printed counts what passed and failed.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(only) = &args.mutants {
        return mutants::run(only.as_deref()).await;
    }
    if args.list {
        for step in Step::value_variants() {
            println!("{:<8} {}", step.name(), step.about());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let all = Step::value_variants();
    let (scope, not_run) = if args.quick { (Scope::Quick, quick::not_run(all)) } else { (Scope::Full, Vec::new()) };
    let steps: Vec<Step> = all.iter().copied().filter(|step| args.wants(*step)).collect();
    std::fs::create_dir_all(workspace::log_folder())?;
    let interrupt = Interrupt::listen()?;
    let provided = requirements::meet(&steps, scope, &interrupt).await?;

    let mut reports = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let heading = format!("[{}/{}] {:<6}", index + 1, steps.len(), step.name());
        let report =
            report::of_step(*step, carry_out::carry_out(*step, scope, &heading, &provided, &interrupt)).await?;
        report.announce(&heading);
        reports.push(report);
    }
    drop(provided);
    Ok(report::conclude(&reports, &not_run, started.elapsed()))
}
