//! The benchmark of the control plane. `cargo xtask bench` builds the release binaries and runs this program.
//!
//! Each command starts its own Postgres, a simulated Fly and `gastown serve`, measures for a bounded time, prints one table,
//! and writes the figures as JSON. Start reading at `reads.rs`, the simplest command.
#![expect(clippy::print_stdout, reason = "the program prints its progress and its table to the terminal")]

mod attack;
mod fly_sim;
mod growth;
mod heartbeats;
mod launch;
mod lifecycle;
mod measure;
mod monitor;
mod options;
mod overload;
mod progress;
mod reads;
mod report;
mod scale;
mod stage;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use options::{Cli, Command, Options};
use report::{Check, CheckReport, Figure, Report};

// One thread is enough for the load, and leaves the other cores to the server and to Postgres.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "the error of a run that failed")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let (command, options) = (cli.command.name(), cli.options());
    let path = options.json.clone().unwrap_or_else(|| report::default_path(command, options.quick));
    let interrupted = interrupted()?;
    // A signal drops the work, and with it every process that it started.
    let measured = tokio::select! {
        measured = measured(cli.command, &options) => measured?,
        () = interrupted => anyhow::bail!("interrupted"),
    };
    let passes = match measured {
        Measured::Figures(figures) => {
            let report = Report::new(command, options.quick, figures);
            println!("\n{}", report.table(report::previous(&path).as_ref()));
            report.write(&path)?;
            true
        }
        Measured::Checks { checks, errors } => {
            let report = CheckReport::new(command, options.quick, checks, errors);
            println!("\n{}", report.table());
            report.write(&path)?;
            report.passes()
        }
    };
    println!("figures are in {}", path.display());
    anyhow::ensure!(passes, "a limit is exceeded, or something was not measured");
    Ok(())
}

/// The result of a command.
enum Measured {
    Figures(Vec<Figure>),
    Checks {
        checks: Vec<Check>,
        /// The parts that were not measured.
        errors: Vec<String>,
    },
}

async fn measured(command: Command, options: &Options) -> anyhow::Result<Measured> {
    let figures = match command {
        Command::Reads(_) => reads::run(options).await.context("reads"),
        Command::Lifecycle(_) => lifecycle::run(options).await.context("lifecycle"),
        Command::Launch(args) => launch::run(options, args.app_per_user).await.context("launch"),
        Command::Growth(_) => growth::run(options).await.context("growth"),
        Command::Scale(_) => scale::run(options).context("scale"),
        Command::Overload(_) => return overload::run(options).await.context("overload"),
        Command::Attack(_) => return attack::run(options).await.context("attack"),
        Command::Heartbeats(_) => return heartbeats::run(options).await.context("heartbeats"),
        Command::Monitor(_) => return monitor::run(options).await.context("monitor"),
        Command::FlySim(_) => return fly_sim::run(options).await.context("fly-sim"),
    };
    figures.map(Measured::Figures)
}

/// Returns a future that completes on Ctrl-C or a request to end.
fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("failed to listen for signals");
    let (mut ctrl_c, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
