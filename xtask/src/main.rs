//! The commands of this repository. Each has a file of its own; this one parses and dispatches.
#![expect(clippy::print_stdout, reason = "a command prints to the terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attack;
mod bench;
mod book;
mod cargo;
mod chaos;
mod codegen;
mod demo;
mod dev;
mod fuzz;
mod gastown;
mod interrupt;
mod markdown;
mod migrate;
mod pip;
mod process_group;
mod progress;
mod test;
mod tidy;
mod trpc;
mod workspace;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The commands of this repository.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Creates, changes and destroys a town over HTTP, offline, on a simulated Fly.
    Demo(demo::Args),
    /// Runs the control plane for development, on SQLite and a simulated Fly.
    Dev(dev::Args),
    /// Kills replicas and injects faults under load, then checks that nothing is lost.
    Chaos(chaos::Args),
    /// Measures release binaries: reads, operations, launch day, growth.
    Bench(bench::Args),
    /// Attacks a release build of the server, and compares what it costs with limits.
    Attack(attack::Args),
    /// Gives mutated inputs to every parser of input from outside, each for a time.
    Fuzz(fuzz::Args),
    /// Runs every check, exactly as CI does.
    Test(test::Args),
    /// Builds the pages of `docs` as a book, and checks its links.
    Book(book::Args),
    /// Generates the entities, the clients and pages of the wire, and the diagrams of the concepts.
    Codegen(codegen::Args),
    /// Migrates the schema of a database, or shows its state.
    Migrate(migrate::Args),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the error of a command that failed")]
async fn main() -> ExitCode {
    run(Cli::parse().command).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Dev(args) => dev::run(&args),
        Command::Chaos(args) => chaos::run(args).await,
        Command::Attack(args) => attack::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Fuzz(args) => fuzz::run(args).await,
        Command::Test(args) => test::run(args).await,
        Command::Book(args) => book::run(args).await,
        Command::Codegen(args) => codegen::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(args) => migrate::run(args).await.map(|()| ExitCode::SUCCESS),
    }
}
