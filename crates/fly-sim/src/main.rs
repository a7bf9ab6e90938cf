//! `fly-sim`: serves the simulated Fly until SIGINT or SIGTERM.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use fly_sim::{FlySim, SimConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A simulator of the Fly Machines API.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Timing of the simulation.
    #[arg(long, value_enum, default_value_t = TimingProfile::Fly)]
    timing: TimingProfile,
    /// App to create at the start; may be repeated.
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    /// Seed of all generated ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimingProfile {
    /// The delays and rate limits of the real service.
    Fly,
    /// Delays of milliseconds and no rate limits.
    Fast,
}

impl TimingProfile {
    fn config(self) -> SimConfig {
        match self {
            Self::Fly => SimConfig::fly_like(),
            Self::Fast => SimConfig::fast(),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let args = Args::parse();
    let config = SimConfig { listen: args.listen, seed: args.seed, ..args.timing.config() };
    let sim = FlySim::start(config).await?;
    for app in &args.apps {
        sim.create_app(app)?;
    }
    // The handlers come first, because a caller may send a signal as soon as it has read the address.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    print_url(&sim);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "callers of this program read the address from standard output")]
fn print_url(sim: &FlySim) {
    println!("{}", sim.url());
}
