//! `bench lifecycle`: the rate and the cost of operations, their latency with a slow provider, and exact counts.

mod clients;
mod counts;
mod latency;
mod operations;
mod throughput;

use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::report::Figure;
use crate::stage::Postgres;

pub(crate) use clients::{Clients, ready_clients};
pub(crate) use operations::{Operation, Owner};

/// Measures all three, and returns the medians over all rounds.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    say("starting Postgres");
    let postgres = Postgres::start().await?;
    let mut series = Series::default();
    throughput::run(&postgres, options, &mut series).await?;
    latency::run(&postgres, options, &mut series).await?;
    counts::run(&postgres, options, &mut series).await?;
    Ok(series.medians())
}
