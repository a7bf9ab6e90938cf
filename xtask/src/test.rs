//! `cargo xtask test`: every check of this repository, one after the other.

mod carry_out;
mod excerpt;
mod logged;
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
}

/// Runs the steps in their order, to the last one whatever fails. The last line printed counts what passed and failed.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
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
