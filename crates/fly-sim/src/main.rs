//! `fly-sim`: serves the simulated Fly until SIGINT or SIGTERM.

use clap::Parser;
use fly_sim::command;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    command::run(command::Cli::parse(), None).await
}
