//! The binary `gastown`: parses its arguments and dispatches. What the commands do stands in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gastown_server::commands::{dev, migrate, operations, orphans, serve, town, unseal};
use gastown_server::{Config, Source, init_telemetry};

/// The control plane of Gastown Cloud.
#[derive(Debug, Parser)]
#[command(name = "gastown", version, about, propagate_version = true)]
struct Arguments {
    /// A TOML file of settings (`NAME = value`); the environment stands above it.
    #[arg(long, global = true, value_name = "FILE", env = "GASTOWN_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the control plane. Every setting is checked at start; see docs/operations.md.
    Serve {
        /// Bring the schema up to date first.
        #[arg(long)]
        migrate: bool,
    },
    /// Serve on this machine with everything filled in: SQLite, a simulated Fly, fresh keys, users with tokens.
    Dev(dev::Options),
    /// Bring the schema up or down, or show where it stands.
    Migrate {
        #[command(subcommand)]
        direction: migrate::Direction,
    },
    /// Open the sealed values of the environment and become the given command; what a sandbox image runs at boot.
    Unseal {
        /// A command without `--` before it.
        #[arg(hide = true)]
        misplaced: Vec<String>,
        /// The command and its arguments. Without it the opened values are printed for a shell to `eval`.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Show what is in flight on every town, what of it needs somebody, and how the passes over all towns stand. Needs
    /// `DATABASE_URL` only.
    Operations(operations::Options),
    /// Show what is at Fly with our names or metadata and no row accounts for, or delete it. Needs `DATABASE_URL` and the
    /// settings of Fly only.
    Orphans(orphans::Options),
    /// Show one town, try it again, or destroy it. Needs `DATABASE_URL` only.
    Town {
        #[command(subcommand)]
        action: town::Action,
    },
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain, once.
            eprintln!("gastown: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut source = Source::from_environment();
    if let Some(path) = &arguments.config {
        source = source.with_file(path, &Config::NAMES)?;
    }
    match arguments.command {
        Command::Serve { migrate } => {
            init_telemetry(&source, "info");
            serve::run(&source, migrate).await
        }
        Command::Dev(options) => {
            init_telemetry(&source, "warn,gastown_orchestrator=info");
            dev::run(source, options).await
        }
        Command::Migrate { direction } => {
            init_telemetry(&source, "warn");
            migrate::run(&source, direction).await
        }
        Command::Unseal { command, misplaced } => unseal::run(&source, &command, &misplaced),
        Command::Operations(options) => {
            init_telemetry(&source, "warn");
            operations::run(&source, options).await
        }
        Command::Orphans(options) => {
            init_telemetry(&source, "warn");
            orphans::run(&source, options).await
        }
        Command::Town { action } => {
            init_telemetry(&source, "warn");
            town::run(&source, action).await
        }
    }
}
