//! `fly-sim`: serves the simulated Fly until it is interrupted.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use fly_sim::{FlySim, SimConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A simulator of the Fly Machines API.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The pace of the real service, or milliseconds without rate limits.
    #[arg(long, value_enum, default_value_t = Pace::Fly)]
    timing: Pace,
    /// Apps to begin with.
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    /// Seed of every id.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    Fly,
    Fast,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let args = Args::parse();
    let pace = match args.timing {
        Pace::Fly => SimConfig::fly_like(),
        Pace::Fast => SimConfig::fast(),
    };
    let sim = FlySim::start(SimConfig { listen: args.listen, seed: args.seed, ..pace }).await?;
    for app in &args.apps {
        sim.create_app(app)?;
    }
    // Whoever has read the address may end it.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    announce(&sim);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the address on standard output is what the caller of this program reads")]
fn announce(sim: &FlySim) {
    println!("{}", sim.url());
}
