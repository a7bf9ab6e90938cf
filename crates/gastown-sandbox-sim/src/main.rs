//! `gastown-fly-sim`: serves the simulated Fly with sandboxes in its machines, until SIGINT or SIGTERM.

use std::time::Duration;

use clap::Parser;
use fly_sim::command;
use gastown_sandbox_sim::SimulatedSandboxes;

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sandboxes = SimulatedSandboxes::default().with_heartbeat(HEARTBEAT);
    command::run(command::Cli::parse(), sandboxes.into_workload()).await
}
