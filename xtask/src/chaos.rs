//! `cargo xtask chaos`: real processes on a real Postgres under load and faults, then a check of all that is left.
//!
//! Start reading at `storm.rs` (the load and the faults), then `account.rs` (the checks at the end).

mod account;
mod caller;
mod cuts;
mod database;
mod disturbances;
mod external_changes;
mod faults;
mod figures;
mod kills;
mod ledger;
mod proof;
mod reads;
mod recovery;
mod replica;
mod rows;
mod stage;
mod storm;
mod users;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;

use crate::gastown;
use crate::interrupt::Interrupt;
use crate::progress::Elapsed;
use figures::Figures;
use stage::Stage;
use storm::Storm;

/// Options of `chaos`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes of load and faults; a fraction is allowed.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Seed of load, faults and kills; the default is random. Processes and network run in real time, so two runs with
    /// one seed differ in their exact moments.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of `gastown serve` processes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    /// Number of users, each with its own app on Fly.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=200))]
    users: u16,
    /// Applies the rate limits of Fly too; a run then completes about a third fewer operations.
    #[arg(long)]
    limits: bool,
    /// `postgres://…` of a database without towns, instead of own servers. It is migrated, is not disturbed during the run,
    /// and keeps its rows.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Starts everything, runs the storm, waits until nothing is in flight, and checks the result. Fails on any finding.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(args.minutes > 0.0 && args.minutes <= 24.0 * 60.0, "--minutes must be above 0 and at most 1440");
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    let interrupt = Interrupt::listen()?;
    interrupt.or(gastown::build()).await?;
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: {} replicas, {} users, {} of chaos", args.replicas, args.users, Elapsed(duration));

    let mut stage = interrupt.or(Stage::start(seed, &args)).await?;
    let logs = stage.logs().to_owned();
    let mut storm = Storm::new(seed, &stage)?;
    let ended = interrupt.or(storm.run(&mut stage, duration)).await;
    let figures = Figures::gather(&stage, &storm, duration, ended.is_ok()).await;
    stage.stop().await;

    let figures = figures?;
    figures.print();
    println!("logs, rows and calls to Fly are in {}", logs.display());
    ended?;
    Ok(if figures.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
