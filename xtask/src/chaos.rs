//! `cargo xtask chaos`: real processes on a real Postgres, while everything goes wrong that can; then the books.
//!
//! Start reading at `storm.rs` (what goes wrong and for how long), then `account.rs` (what must be right in the end).

mod account;
mod caller;
mod database;
mod faults;
mod figures;
mod kills;
mod ledger;
mod mischief;
mod proof;
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

/// How long, with whom, and from which seed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how many minutes things go wrong; a fraction will do.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// What load, faults and kills are drawn from; a new one where absent. Real time is not: processes and network take
    /// as long as they take, so two runs of one seed do much the same, and not at the same moments.
    #[arg(long)]
    seed: Option<u64>,
    /// How many processes serve.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    /// How many users call, each in an app of their own on Fly.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=200))]
    users: u16,
    /// Fly's own rate limits too: 429 in earnest, and a third fewer operations.
    #[arg(long)]
    limits: bool,
    /// `postgres://…` of a database without towns, instead of a server of its own. It is migrated, is not restarted
    /// meanwhile, and keeps the rows for whoever wants to look.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Raises everything, lets the storm loose, waits for the quiet and closes the books. Fails where they do not balance.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(args.minutes > 0.0 && args.minutes <= 24.0 * 60.0, "--minutes must be above 0 and at most 1440");
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    let interrupt = Interrupt::listen()?;
    interrupt.or(gastown::build()).await?;
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: {} replicas, {} users, {} of chaos", args.replicas, args.users, Elapsed(duration));

    let mut stage = interrupt.or(Stage::raise(seed, &args)).await?;
    let logs = stage.logs().to_owned();
    let mut storm = Storm::brew(seed, &stage)?;
    let ended = interrupt.or(storm.rage(&mut stage, duration)).await;
    let figures = Figures::gather(&stage, &storm, duration, ended.is_ok()).await;
    stage.strike().await;

    let figures = figures?;
    figures.print();
    println!("logs, rows and calls to Fly: {}", logs.display());
    ended?;
    Ok(if figures.balance() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
