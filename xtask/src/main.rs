//! The build language of this repository: one file per command, this one only parses and dispatches.

use clap::{Parser, Subcommand};

mod codegen;
mod migrate;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generates the SeaORM entities from the migrated schema.
    Codegen(codegen::Args),
    /// Changes the schema of a database, or shows what is applied.
    Migrate(migrate::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Codegen(args) => codegen::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
    }
}
