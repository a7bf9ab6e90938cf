//! `bench heartbeats`: the sandboxes of 100,000 towns call home every 60 seconds, each figure beside its limit.
//!
//! Each town is heard at most once. So after a graceful stop, the rows must show as many heartbeats as were answered.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use crate::Measured;
use crate::measure::crowd::Crowd;
use crate::measure::latencies::{millis, number};
use crate::options::Options;
use crate::progress::say;
use crate::reads::{Heartbeats, INSTANT_FLY};
use crate::report::{Check, Limit, Unit};
use crate::stage::{Fly, Postgres, Server, ServerSetup, Sqlite, seed};

/// The period of a town's heartbeats.
const PERIOD: Duration = Duration::from_secs(60);
/// The connections of the load. Each sends at its own pace, and does not wait for the others.
const CLIENTS: usize = 128;
/// The part of the rate that must be reached.
const REACHED: f64 = 0.98;
const MAX_P99_MS: f64 = 100.0;
const MAX_MEMORY_MIB: f64 = 300.0;
const MAX_STOP: Duration = Duration::from_secs(10);
/// The least heartbeats of one writing statement of the towns, at the full rate.
const PER_STATEMENT: f64 = 300.0;

/// The statements that show heartbeats in the rows of towns.
const SHOWING: &str = "^UPDATE \"?gastown_towns.*last_heartbeat_at";

/// The load of a run.
#[derive(Debug, Clone, Copy)]
struct Scale {
    towns: usize,
    phase: Duration,
}

impl Scale {
    /// Less than a period, so that no town is heard twice.
    const FULL: Self = Self { towns: 100_000, phase: Duration::from_secs(55) };
    const QUICK: Self = Self { towns: 6_000, phase: Duration::from_secs(5) };

    fn per_second(self) -> f64 {
        number(self.towns) / PERIOD.as_secs_f64()
    }

    /// Returns the pause between two heartbeats of a client.
    fn interval(self) -> Duration {
        Duration::from_secs_f64(number(CLIENTS) / self.per_second())
    }
}

/// Measures the heartbeats on Postgres, and on SQLite.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Measured> {
    let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    let fly = Fly::start(INSTANT_FLY).await?;
    let (mut checks, mut errors) = (Vec::new(), Vec::new());
    for (name, measured) in [("Postgres", on_postgres(&fly, scale).await), ("SQLite", on_sqlite(&fly, scale).await)] {
        match measured {
            Ok(measured) => checks.extend(measured.into_iter().map(|check| check.within(name))),
            Err(error) => errors.push(format!("{name}: {error:#}")),
        }
    }
    Ok(Measured::Checks { checks, errors })
}

async fn on_postgres(fly: &Fly, scale: Scale) -> anyhow::Result<Vec<Check>> {
    say(format!("Postgres: {} towns, a heartbeat each every {} s", scale.towns, PERIOD.as_secs()));
    let postgres = Postgres::start().await?;
    let database = postgres.create("heartbeats").await?;
    let has_statistics = postgres.count_statements_of(&database).await?;
    seed::towns(&database, 1, scale.towns).await?;
    let server = ServerSetup::new(&database, fly).start().await?;
    let (mut checks, answered) = load(server, scale).await?;
    let heard = database.count("SELECT count(*) FROM gastown_towns WHERE last_heartbeat_at IS NOT NULL").await?;
    checks.push(lost(answered, heard)?);
    if has_statistics && scale.towns == Scale::FULL.towns {
        let per_statement = number(answered) / number(postgres.calls_of(&database, SHOWING).await?);
        let name = "heartbeats of one writing statement";
        checks.push(Check::new(name, Unit::Count, per_statement, Limit::AtLeast(PER_STATEMENT)));
    }
    Ok(checks)
}

async fn on_sqlite(fly: &Fly, scale: Scale) -> anyhow::Result<Vec<Check>> {
    say(format!("SQLite: {} towns, a heartbeat each every {} s", scale.towns, PERIOD.as_secs()));
    let database = Sqlite::create().await?;
    database.insert_towns(scale.towns).await?;
    let server = ServerSetup::on((database.url(), "sqlite"), fly).start().await?;
    let (mut checks, answered) = load(server, scale).await?;
    checks.push(lost(answered, database.heard_towns().await?)?);
    Ok(checks)
}

/// Sends heartbeats, and stops the server in the middle of the work that they leave. Returns those that were answered.
async fn load(server: Server, scale: Scale) -> anyhow::Result<(Vec<Check>, usize)> {
    server.forget_peak()?;
    let (begun, until) = (Instant::now(), Instant::now() + scale.phase);
    let crowd = Crowd { address: server.address, clients: CLIENTS, until, interval: Some(scale.interval()) };
    let tally = crowd.send(&Heartbeats::of(scale.towns)?).await?;
    let (elapsed, memory) = (begun.elapsed(), server.peak_mib());
    let stopping = Instant::now();
    server.stop_gracefully().await?;
    let stopped = stopping.elapsed();
    ensure!(tally.sent() < scale.towns, "a town was heard twice, so rows cannot be compared with answers");
    let latencies = tally.latencies_of_answered();
    let per_second = number(tally.answered()) / elapsed.as_secs_f64();
    let wanted = scale.per_second() * REACHED;
    let others = number(tally.refused() + tally.broken());
    let checks = vec![
        Check::new("heartbeats a second", Unit::PerSecond, per_second, Limit::AtLeast(wanted)),
        Check::new("p50", Unit::Milliseconds, latencies.percentile_ms(50), Limit::AtMost(MAX_P99_MS)),
        Check::new("p99", Unit::Milliseconds, latencies.percentile_ms(99), Limit::AtMost(MAX_P99_MS)),
        Check::new("refused or unanswered", Unit::Count, others, Limit::AtMost(0.0)),
        Check::new("memory of the server", Unit::Mebibytes, memory, Limit::AtMost(MAX_MEMORY_MIB)),
        Check::new("graceful stop", Unit::Milliseconds, millis(stopped), Limit::AtMost(millis(MAX_STOP))),
    ];
    Ok((checks, tally.answered()))
}

/// Compares the answered heartbeats with the rows that show one.
fn lost(answered: usize, heard: i64) -> anyhow::Result<Check> {
    let heard = usize::try_from(heard).context("a count is negative")?;
    let lost = number(answered.saturating_sub(heard));
    say(format!("{answered} heartbeats answered, {heard} in the rows"));
    Ok(Check::new("lost at a graceful stop", Unit::Count, lost, Limit::AtMost(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_that_of_all_towns_and_no_town_is_heard_twice() {
        assert!((1666.0..1667.0).contains(&Scale::FULL.per_second()));
        for scale in [Scale::FULL, Scale::QUICK] {
            assert!(scale.phase < PERIOD);
            let a_second = number(CLIENTS) / scale.interval().as_secs_f64();
            assert!((a_second - scale.per_second()).abs() < 1.0, "{a_second}");
        }
    }

    #[test]
    fn more_rows_than_answers_are_no_loss() {
        let limit = Limit::AtMost(0.0);
        assert_eq!(lost(5, 6).unwrap(), Check::new("lost at a graceful stop", Unit::Count, 0.0, limit));
        assert_eq!(lost(5, 3).unwrap(), Check::new("lost at a graceful stop", Unit::Count, 2.0, limit));
    }
}
