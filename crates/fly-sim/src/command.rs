//! The command `fly-sim`, which other programs run with a workload of their own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{config::SimConfig, rate_limit::RateLimits, sim::FlySim, timing::Timing, workload::Workload};

/// A simulator of the Fly Machines API.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Address to listen on; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Timing of the simulation.
    #[arg(long, value_enum, default_value_t = TimingProfile::Fly)]
    timing: TimingProfile,
    /// Milliseconds before every answer, instead of those of the timing.
    #[arg(long, value_name = "MS")]
    latency: Option<u64>,
    /// Rate limits, instead of those of the timing.
    #[arg(long, value_enum)]
    limits: Option<Limits>,
    /// Secret of every app, as `NAME=VALUE`; may be repeated.
    #[arg(long = "app-secret", value_name = "NAME=VALUE", value_parser = secret)]
    app_secrets: Vec<(String, SecretString)>,
    /// Skips the checks against Fly's OpenAPI document, for measurements.
    #[arg(long)]
    unchecked: bool,
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
    /// No delays and no rate limits.
    Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    /// The rate limits of the real service.
    Fly,
    /// No rate limits.
    Off,
}

impl TimingProfile {
    fn config(self) -> SimConfig {
        match self {
            Self::Fly => SimConfig::fly_like(),
            Self::Fast => SimConfig::fast(),
            Self::Instant => SimConfig { timing: Timing::instant(), ..SimConfig::fast() },
        }
    }
}

impl Args {
    fn config(&self, workload: Option<Arc<dyn Workload>>) -> SimConfig {
        let mut config = self.timing.config();
        if let Some(latency) = self.latency {
            config.timing.latency = Duration::from_millis(latency);
        }
        if let Some(limits) = self.limits {
            config.rates = if limits == Limits::Fly { RateLimits::Fly } else { RateLimits::Off };
        }
        let (listen, seed, app_secrets) = (self.listen, self.seed, self.app_secrets.clone());
        SimConfig { listen, seed, app_secrets, workload, checks_contract: !self.unchecked, ..config }
    }
}

fn secret(argument: &str) -> Result<(String, SecretString), &'static str> {
    let (name, value) = argument.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), SecretString::from(value)))
}

/// Serves the simulated Fly until SIGINT or SIGTERM.
///
/// # Errors
///
/// Returns an error if the simulator cannot start, or an app is refused.
pub async fn run(args: Args, workload: Option<Arc<dyn Workload>>) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let sim = FlySim::start(args.config(workload)).await?;
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
