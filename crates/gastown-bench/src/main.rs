//! The benchmark of the control plane. `cargo xtask bench` builds the release binaries and runs this program.
//!
//! Each command starts its own Postgres, a simulated Fly and `gastown serve`, measures for a bounded time, prints one table,
//! and writes the figures as JSON. Start reading at `reads.rs`, the simplest command.
#![expect(clippy::print_stdout, reason = "the program prints its progress and its table to the terminal")]

mod growth;
mod launch;
mod lifecycle;
mod measure;
mod options;
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
use report::Report;

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
    let previous = report::previous(&path);
    let interrupted = interrupted()?;
    // A signal drops the work, and with it every process that it started.
    let figures = tokio::select! {
        figures = measured(cli.command, &options) => figures?,
        () = interrupted => anyhow::bail!("interrupted"),
    };
    let report = Report::new(command, options.quick, figures);
    println!("\n{}", report.table(previous.as_ref()));
    report.write(&path)?;
    println!("figures are in {}", path.display());
    Ok(())
}

async fn measured(command: Command, options: &Options) -> anyhow::Result<Vec<report::Figure>> {
    match command {
        Command::Reads(_) => reads::run(options).await.context("reads"),
        Command::Lifecycle(_) => lifecycle::run(options).await.context("lifecycle"),
        Command::Launch(args) => launch::run(options, args.app_per_user).await.context("launch"),
        Command::Growth(_) => growth::run(options).await.context("growth"),
        Command::Scale(_) => scale::run(options).context("scale"),
    }
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
