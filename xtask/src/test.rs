//! `cargo xtask test`: every check of this repository, one after the other.

mod carry_out;
mod excerpt;
mod figures;
mod logged;
mod mutants;
mod report;
mod requirements;
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
    /// Lists the steps and does nothing.
    #[arg(long)]
    list: bool,
    /// Instead of the steps: breaks the code on purpose, in each of the ways that matter, and shows that the tests notice.
    /// With a name, only that one.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["only", "list"])]
    #[expect(clippy::option_option, reason = "absent, without a name, with a name")]
    mutants: Option<Option<String>>,
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
    let wanted = |step: &&Step| args.only.is_empty() || args.only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().filter(wanted).copied().collect();
    std::fs::create_dir_all(workspace::log_folder())?;
    let interrupt = Interrupt::listen()?;
    let provided = requirements::meet(&steps, &interrupt).await?;

    let mut reports = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let heading = format!("[{}/{}] {:<6}", index + 1, steps.len(), step.name());
        let report = report::of_step(*step, carry_out::carry_out(*step, &heading, &provided, &interrupt)).await?;
        report.announce(&heading);
        reports.push(report);
    }
    drop(provided);
    Ok(report::conclude(&reports, started.elapsed()))
}
