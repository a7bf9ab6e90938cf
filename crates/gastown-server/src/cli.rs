//! The command line of the binary `gastown`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(feature = "dev")]
use crate::commands::dev;
use crate::commands::{
    adopt, config, doctor, events, exit, generated, keygen, migrate, operations, orphans, rig, rollout, sandbox, serve,
    smoke, token, town, unseal,
};
use crate::{Config, Source, telemetry};

/// The version, with the commit if the build knows it (`GASTOWN_COMMIT`).
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    option_env!("GASTOWN_COMMIT").map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"))
});

/// The control plane of Gastown Cloud.
#[derive(Debug, Parser)]
#[command(name = "gastown", version = VERSION.as_str(), about, propagate_version = true, after_help = exit::EXPLAINED)]
pub struct Arguments {
    /// A TOML file of settings (`NAME = value`). The environment takes precedence.
    #[arg(long, global = true, value_name = "FILE", env = "GASTOWN_CONFIG")]
    config: Option<PathBuf>,
    /// Log at `LOG_LEVEL` on standard error also in commands that print and end. Without it, they log only warnings.
    #[arg(long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the control plane. All settings are checked at start; see docs/operations.md.
    #[command(after_help = "Example:\n  gastown --config gastown.toml serve --migrate")]
    Serve {
        /// Migrate the schema first.
        #[arg(long)]
        migrate: bool,
        /// Allow the console (`CONSOLE_LISTEN`) to start, stop and destroy towns. Without it, the console only reads.
        #[arg(long)]
        allow_actions: bool,
    },
    /// Serve on this machine with defaults for all settings: SQLite, a simulated Fly, new keys, users with tokens.
    #[cfg(feature = "dev")]
    #[command(after_help = "Example:\n  gastown dev --user alice --timing fast")]
    Dev(dev::Options),
    /// Migrate the schema up or down, or show its state.
    Migrate {
        #[command(subcommand)]
        direction: migrate::Direction,
    },
    /// Open the sealed values of the environment and run the given command. Sandbox images run it at boot.
    #[command(after_help = "Example:\n  gastown unseal -- python3 sandbox.py")]
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
    /// Show the operations in flight, those that failed, and the state of the periodic jobs. Needs only `DATABASE_URL`.
    #[command(after_help = operations::EXAMPLES)]
    Operations(operations::Options),
    /// Show or delete orphans: machines and volumes at Fly with our names or metadata, but without a row. Needs only
    /// `DATABASE_URL` and the settings of Fly.
    #[command(after_help = orphans::EXAMPLES)]
    Orphans(orphans::Options),
    /// List towns. Create, watch, show, start, stop, restore, retry or destroy one. Needs only `DATABASE_URL`.
    Town {
        #[command(subcommand)]
        action: town::Action,
    },
    /// List, add or remove the rigs of a town. Needs only `DATABASE_URL`, or at a server only a user's token.
    Rig {
        #[command(subcommand)]
        action: rig::Action,
    },
    /// Bring a new image to the towns, in waves, and take it back. Needs only `DATABASE_URL`.
    Rollout {
        #[command(subcommand)]
        action: rollout::Action,
    },
    /// List the events of a town, newest first. Needs only `DATABASE_URL`.
    #[command(after_help = events::EVENTS_EXAMPLES)]
    Events(events::EventsOptions),
    /// List the events of all towns, newest first. Needs only `DATABASE_URL`.
    #[command(after_help = events::AUDIT_EXAMPLES)]
    Audit(events::AuditOptions),
    /// Check everything that `serve` depends on, and say how to mend what is wrong. Changes nothing.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Options),
    /// Rebuild the rows of a lost registry from what Fly shows. Changes nothing at Fly, and writes rows only with `--apply`.
    #[command(after_help = adopt::EXAMPLES)]
    Adopt(adopt::Options),
    /// Play the life of a town against a running server: create, rig, stop, start, destroy. Needs only a user's token.
    #[command(after_help = smoke::EXAMPLES)]
    Smoke(smoke::Options),
    /// Print new keys and secrets for a new installation or a rotation. Stores nothing.
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::Options),
    /// Mint a token of a user, or inspect one. Needs `NEXTAUTH_SECRET` and `DATABASE_URL`.
    Token {
        #[command(subcommand)]
        action: token::Action,
    },
    /// Print an example of a settings file, or check the settings.
    Config {
        #[command(subcommand)]
        action: config::Action,
    },
    /// Print the completions of a shell.
    #[command(after_help = "Example:\n  gastown completions bash > /etc/bash_completion.d/gastown")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page, or write one for each command.
    #[command(after_help = "Example:\n  gastown man --dir /usr/local/share/man/man1")]
    Man(generated::ManOptions),
}

/// The logs of a command, on standard error.
enum Logs {
    /// Those of a service, by `LOG_LEVEL`, with its default.
    Service(&'static str),
    /// Those of a command that prints and ends.
    Warnings,
    /// None.
    Nothing,
}

impl Command {
    const fn logs(&self) -> Logs {
        match self {
            Self::Serve { .. } => Logs::Service("info"),
            #[cfg(feature = "dev")]
            Self::Dev(_) => Logs::Service("warn,gastown_orchestrator=info"),
            Self::Migrate { .. }
            | Self::Operations(_)
            | Self::Orphans(_)
            | Self::Town { .. }
            | Self::Rig { .. }
            | Self::Rollout { .. }
            | Self::Events(_)
            | Self::Audit(_)
            | Self::Adopt(_)
            | Self::Doctor(_)
            | Self::Token { .. } => Logs::Warnings,
            Self::Unseal { .. }
            | Self::Sandbox { .. }
            | Self::Smoke(_)
            | Self::Keygen(_)
            | Self::Config { .. }
            | Self::Completions { .. }
            | Self::Man(_) => Logs::Nothing,
        }
    }

    /// Returns the exit code of a failure without a code of its own.
    const fn failure(&self) -> u8 {
        match self {
            Self::Sandbox { action: sandbox::Action::Check(_) } => sandbox::NOT_CHECKED,
            #[cfg(feature = "dev")]
            Self::Dev(_) => exit::FAILED,
            Self::Serve { .. }
            | Self::Migrate { .. }
            | Self::Unseal { .. }
            | Self::Sandbox { action: sandbox::Action::Env(_) | sandbox::Action::Rules { .. } }
            | Self::Operations(_)
            | Self::Orphans(_)
            | Self::Town { .. }
            | Self::Rig { .. }
            | Self::Rollout { .. }
            | Self::Events(_)
            | Self::Audit(_)
            | Self::Adopt(_)
            | Self::Doctor(_)
            | Self::Smoke(_)
            | Self::Keygen(_)
            | Self::Token { .. }
            | Self::Config { .. }
            | Self::Completions { .. }
            | Self::Man(_) => exit::FAILED,
        }
    }
}

/// Runs the command, and prints its error with all causes.
pub async fn run(arguments: Arguments) -> ExitCode {
    let failure = arguments.command.failure();
    match run_command(arguments).await {
        Ok(code) => code,
        Err(error) => {
            // If standard error is closed, the exit code alone tells.
            let _ = writeln!(std::io::stderr(), "gastown: {error:#}");
            ExitCode::from(exit::code_of(&error, failure))
        }
    }
}

async fn run_command(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut source = Source::from_environment();
    if let Some(path) = &arguments.config {
        source = source.with_file(path, &Config::NAMES)?;
    }
    let telemetry = match arguments.command.logs() {
        Logs::Service(level) => Some(telemetry::init(&source, level)),
        Logs::Warnings => Some(telemetry::init_command(&source, arguments.verbose)),
        Logs::Nothing => None,
    };
    let ended = execute(arguments.command, source).await;
    if let Some(telemetry) = telemetry {
        telemetry.shut_down().await;
    }
    ended
}

async fn execute(command: Command, source: Source) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { migrate, allow_actions } => serve::run(&source, migrate, allow_actions).await?,
        #[cfg(feature = "dev")]
        Command::Dev(options) => Box::pin(dev::run(source, options)).await?,
        Command::Migrate { direction } => migrate::run(&source, direction).await?,
        Command::Unseal { command, misplaced } => unseal::run(&source, &command, &misplaced)?,
        Command::Sandbox { action } => return sandbox::run(&source, action).await,
        Command::Operations(options) => operations::run(&source, options).await?,
        Command::Orphans(options) => orphans::run(&source, options).await?,
        Command::Town { action } => town::run(&source, action).await?,
        Command::Rig { action } => rig::run(&source, action).await?,
        Command::Rollout { action } => rollout::run(&source, action).await?,
        Command::Events(options) => events::run(&source, options).await?,
        Command::Audit(options) => events::audit(&source, options).await?,
        Command::Doctor(options) => doctor::run(&source, options).await?,
        Command::Adopt(options) => adopt::run(&source, options).await?,
        Command::Smoke(options) => smoke::run(options).await?,
        Command::Keygen(options) => keygen::run(&options)?,
        Command::Token { action } => token::run(&source, action).await?,
        Command::Config { action } => config::run(&source, action)?,
        Command::Completions { shell } => generated::completions(Arguments::command(), shell)?,
        Command::Man(options) => generated::man(Arguments::command(), &options)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Returns the names of all commands without subcommands, each with its help.
    fn leaves(command: &clap::Command, path: &str) -> Vec<(String, String)> {
        let mut subcommands = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
        if subcommands.peek().is_none() {
            return vec![(path.to_owned(), command.clone().render_long_help().to_string())];
        }
        subcommands.flat_map(|command| leaves(command, &format!("{path} {}", command.get_name()))).collect()
    }

    #[test]
    fn help_of_every_command_has_an_example() {
        let leaves = leaves(&Arguments::command(), "gastown");
        assert!(leaves.len() > 15, "{}", leaves.len());
        for (path, help) in leaves {
            let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{path} has no example"));
            assert!(examples.contains("gastown "), "{path}");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
