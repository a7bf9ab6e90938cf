//! The build language of this repository: one file per command, this one only parses and dispatches.
#![expect(clippy::print_stdout, reason = "what a command has to say goes to the terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cargo;
mod chaos;
mod codegen;
mod demo;
mod dev;
mod gastown;
mod interrupt;
mod migrate;
mod process_group;
mod progress;
mod test;
mod tidy;
mod trpc;
mod workspace;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "What can be done with this repository.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lives the life of a town before your eyes: create, rig, stop, start, destroy; offline, on a simulated Fly.
    Demo(demo::Args),
    /// Runs the control plane for development: SQLite, simulated Fly, a user with a token.
    Dev(dev::Args),
    /// Kills replicas, restarts Postgres and lets a simulated Fly fail under load; then sees whether anything is lost.
    Chaos(chaos::Args),
    /// Runs every check: what CI runs, and nothing else.
    Test(test::Args),
    /// Generates the SeaORM entities from the migrated schema.
    Codegen(codegen::Args),
    /// Changes the schema of a database, or shows what is applied.
    Migrate(migrate::Args),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
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
        Command::Test(args) => test::run(args).await,
        Command::Codegen(args) => codegen::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(args) => migrate::run(args).await.map(|()| ExitCode::SUCCESS),
    }
}
