//! `gastown-fly-sim`: serves the simulated Fly with sandboxes in its machines, until SIGINT or SIGTERM.

use std::time::Duration;

use clap::Parser;
use fly_sim::command;
use gastown_sandbox_sim::{CommandSandboxes, SimulatedSandboxes};

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A simulator of the Fly Machines API, with sandboxes in its machines.
#[derive(Debug, Parser)]
#[command(name = "gastown-fly-sim", version)]
struct Arguments {
    #[command(flatten)]
    fly: command::Cli,
    /// Shell command that runs in each machine instead of the simulated sandbox. It gets the machine's environment, `PORT`,
    /// and `DATA_DIR` for the volume.
    #[arg(long, global = true, value_name = "COMMAND")]
    sandbox_cmd: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let workload = match arguments.sandbox_cmd {
        Some(command) => CommandSandboxes::new(command, std::env::vars())?.into_workload(),
        None => SimulatedSandboxes::default().with_heartbeat(HEARTBEAT).into_workload(),
    };
    command::run(arguments.fly, workload).await
}
