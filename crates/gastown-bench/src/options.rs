//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Measures release binaries of the control plane beside the floors of the same machine.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// getTownStatus and listTowns on many towns, beside pgbench with one statement.
    Reads(Common),
    /// Create and destroy: rate, latency with a slow provider, and exact counts of statements and calls.
    Lifecycle(Common),
    /// Many users create a town at once under Fly's rate limits.
    Launch(Launch),
    /// Reads and creates as the number of towns and machines grows.
    Growth(Common),
    /// Ten times the load that the server can answer: what is answered, who is refused, what is lost.
    Overload(Common),
    /// Attacks of a server, each figure beside its limit. Fails if one is exceeded.
    Attack(Common),
    /// Heartbeats of 100,000 towns on Postgres and SQLite, each figure beside its limit. Fails if one is exceeded, or one is lost.
    Heartbeats(Common),
    /// A pass of the health monitor over 1,000, 10,000 and 100,000 towns, each figure beside its limit. Fails if one is exceeded.
    Monitor(Common),
    /// The simulator of Fly with ten thousand machines, each figure beside its limit. Fails if one is exceeded.
    FlySim(Common),
    /// A simulation of up to ten million towns with the costs that reads and lifecycle measured. It needs no server.
    Scale(Common),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Runs with less data, one round and short phases.
    #[arg(long)]
    quick: bool,
    /// Rounds, of which each figure is the median.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Seconds of each measured phase.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// File of the figures, with which the next run is compared (default: `target/bench/<command>.json`)
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Launch {
    #[command(flatten)]
    common: Common,
    /// Gives each user an app of its own, instead of one shared app.
    #[arg(long)]
    pub(crate) app_per_user: bool,
}

/// The options that every command has.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    /// The time of a measured phase.
    pub(crate) phase: Duration,
    pub(crate) json: Option<PathBuf>,
}

impl Cli {
    pub(crate) fn options(&self) -> Options {
        let common = self.command.common();
        let (rounds, seconds) = if common.quick { (1, 2) } else { (3, 5) };
        Options {
            quick: common.quick,
            rounds: common.rounds.unwrap_or(rounds),
            phase: Duration::from_secs(common.seconds.unwrap_or(seconds)),
            json: common.json.clone(),
        }
    }
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Reads(_) => "reads",
            Self::Lifecycle(_) => "lifecycle",
            Self::Launch(Launch { app_per_user: false, .. }) => "launch",
            Self::Launch(Launch { app_per_user: true, .. }) => "launch-app-per-user",
            Self::Growth(_) => "growth",
            Self::Overload(_) => "overload",
            Self::Attack(_) => "attack",
            Self::Heartbeats(_) => "heartbeats",
            Self::Monitor(_) => "monitor",
            Self::FlySim(_) => "fly-sim",
            Self::Scale(_) => "scale",
        }
    }

    fn common(&self) -> &Common {
        match self {
            Self::Reads(common) | Self::Lifecycle(common) | Self::Growth(common) | Self::Scale(common) => common,
            Self::Overload(common) | Self::Attack(common) | Self::FlySim(common) => common,
            Self::Heartbeats(common) | Self::Monitor(common) => common,
            Self::Launch(launch) => &launch.common,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        Cli::parse_from([&["bench"], arguments].concat()).options()
    }

    #[test]
    fn quick_runs_are_shorter_unless_given_otherwise() {
        let full = parse(&["reads"]);
        assert_eq!((full.quick, full.rounds, full.phase), (false, 3, Duration::from_secs(5)));
        let quick = parse(&["growth", "--quick"]);
        assert_eq!((quick.quick, quick.rounds, quick.phase), (true, 1, Duration::from_secs(2)));
        let given = parse(&["launch", "--quick", "--rounds", "4", "--seconds", "9", "--app-per-user"]);
        assert_eq!((given.rounds, given.phase), (4, Duration::from_secs(9)));
    }
}
