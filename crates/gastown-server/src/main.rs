//! The binary `gastown`: parses its arguments and runs a command of the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
#[cfg(feature = "dev")]
use gastown_server::commands::dev;
use gastown_server::commands::{migrate, operations, orphans, sandbox, serve, town, unseal};
use gastown_server::{Config, Source, init_telemetry};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The control plane of Gastown Cloud.
#[derive(Debug, Parser)]
#[command(name = "gastown", version, about, propagate_version = true)]
struct Arguments {
    /// A TOML file of settings (`NAME = value`). The environment takes precedence.
    #[arg(long, global = true, value_name = "FILE", env = "GASTOWN_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the control plane. All settings are checked at start; see docs/operations.md.
    Serve {
        /// Migrate the schema first.
        #[arg(long)]
        migrate: bool,
    },
    /// Serve on this machine with defaults for all settings: SQLite, a simulated Fly, new keys, users with tokens.
    #[cfg(feature = "dev")]
    Dev(dev::Options),
    /// Migrate the schema up or down, or show its state.
    Migrate {
        #[command(subcommand)]
        direction: migrate::Direction,
    },
    /// Open the sealed values of the environment and run the given command. Sandbox images run it at boot.
    Unseal {
        /// A command without `--` before it.
        #[arg(hide = true)]
        misplaced: Vec<String>,
        /// The command and its arguments. Without one, print the opened values for a shell's `eval`.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Check a sandbox image against the sandbox API. Needs no settings.
    Sandbox {
        #[command(subcommand)]
        action: sandbox::Action,
    },
    /// Show the operations in flight, those that need attention, and the state of the periodic jobs. Needs only
    /// `DATABASE_URL`.
    Operations(operations::Options),
    /// Show or delete orphans: machines and volumes at Fly with our names or metadata, but without a row. Needs only
    /// `DATABASE_URL` and the settings of Fly.
    Orphans(orphans::Options),
    /// Show one town, retry its operation, or destroy it. Needs only `DATABASE_URL`.
    Town {
        #[command(subcommand)]
        action: town::Action,
    },
}

impl Command {
    /// Returns the default of `LOG_LEVEL`. `None`: the command does not log.
    const fn log_level(&self) -> Option<&'static str> {
        match self {
            Self::Serve { .. } => Some("info"),
            #[cfg(feature = "dev")]
            Self::Dev(_) => Some("warn,gastown_orchestrator=info"),
            Self::Migrate { .. } | Self::Operations(_) | Self::Orphans(_) | Self::Town { .. } => Some("warn"),
            Self::Unseal { .. } | Self::Sandbox { .. } => None,
        }
    }

    /// Returns the exit code of a failure.
    const fn failure(&self) -> u8 {
        match self {
            Self::Sandbox { .. } => sandbox::NOT_CHECKED,
            #[cfg(feature = "dev")]
            Self::Dev(_) => 1,
            Self::Serve { .. }
            | Self::Migrate { .. }
            | Self::Unseal { .. }
            | Self::Operations(_)
            | Self::Orphans(_)
            | Self::Town { .. } => 1,
        }
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the error of a failed command")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failure = arguments.command.failure();
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            // With all causes.
            eprintln!("gastown: {error:#}");
            ExitCode::from(failure)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut source = Source::from_environment();
    if let Some(path) = &arguments.config {
        source = source.with_file(path, &Config::NAMES)?;
    }
    let telemetry = arguments.command.log_level().map(|level| init_telemetry(&source, level));
    let ended = execute(arguments.command, source).await;
    if let Some(telemetry) = telemetry {
        telemetry.shut_down().await;
    }
    ended
}

async fn execute(command: Command, source: Source) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { migrate } => serve::run(&source, migrate).await?,
        #[cfg(feature = "dev")]
        Command::Dev(options) => dev::run(source, options).await?,
        Command::Migrate { direction } => migrate::run(&source, direction).await?,
        Command::Unseal { command, misplaced } => unseal::run(&source, &command, &misplaced)?,
        Command::Sandbox { action } => return sandbox::run(&source, action).await,
        Command::Operations(options) => operations::run(&source, options).await?,
        Command::Orphans(options) => orphans::run(&source, options).await?,
        Command::Town { action } => town::run(&source, action).await?,
    }
    Ok(ExitCode::SUCCESS)
}
