//! `bench launch`: many users create a town at once under Fly's rate limits.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::lifecycle::ready_clients;
use crate::measure::http1::Connection;
use crate::measure::latencies::{Latencies, number};
use crate::measure::series::Series;
use crate::measure::trpc;
use crate::options::Options;
use crate::progress::say;
use crate::report::{Figure, Unit};
use crate::stage::{Database, Fly, FlySetup, Limits, Placement, Postgres, ServerSetup, Timing};

const FLY: FlySetup = FlySetup { timing: Timing::Fly, latency_ms: None, limits: Limits::Fly };
/// A create that waits for no limit: launch, boot and sandbox of the simulated Fly, and four calls of 25 ms.
const ONE_CREATE: Duration = Duration::from_millis(1_900);
/// Creates that the limit admits at once. After that it admits one a second.
const BURST: u32 = 3;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Between two lines of progress.
const SAY_INTERVAL: Duration = Duration::from_secs(10);

/// Launches towns of each number of users. Rounds do not apply, because limits make the figures repeatable.
pub(crate) async fn run(options: &Options, app_per_user: bool) -> anyhow::Result<Vec<Figure>> {
    let placement = if app_per_user { Placement::AppPerUser } else { Placement::SharedApp };
    say("starting Postgres");
    let postgres = Postgres::start().await?;
    let mut series = Series::default();
    for (users, database) in [(30, "launch_30"), (100, "launch_100"), (300, "launch_300")] {
        if users == 30 || !options.quick {
            let database = postgres.create(database).await?;
            launch(&database, users, placement, &mut series).await?;
        }
    }
    Ok(series.medians())
}

async fn launch(database: &Database, users: u32, placement: Placement, series: &mut Series) -> anyhow::Result<()> {
    let (last, median) = (allowed(users), allowed(users.div_ceil(2)));
    let bound = (last + last / 2 + Duration::from_secs(60)).max(Duration::from_secs(120));
    say(format!("{users} users create a town at once, for at most {} s", bound.as_secs()));
    let fly = Fly::start(FLY).await?;
    let tokens = ready_clients(database, 0, users as usize).await?;
    let server = ServerSetup { placement, ..ServerSetup::new(database, &fly) }.start().await?;
    let begun = Instant::now();
    let mut requests = JoinSet::new();
    for token in tokens {
        requests.spawn(async move { create(Connection::open(server.address).await?, &token).await });
    }
    let running = watch(database, users as usize, begun, bound, last).await?;
    let calls = fly.calls_after(0).await?.len();
    drop(requests);
    server.stop().await?;

    let name = |what: &str| format!("{users} users: {what}");
    let all = Some(f64::from(users));
    series.beside(name("running in the time of the limits"), Unit::Count, number(running.in_time), all);
    series.beside(name("running at the end"), Unit::Count, number(running.after.count()), all);
    let seconds = |percent| running.after.percentile_ms(percent) / 1000.0;
    series.beside(name("median"), Unit::Seconds, seconds(50), Some(median.as_secs_f64()));
    series.beside(name("last"), Unit::Seconds, seconds(100), Some(last.as_secs_f64()));
    series.add(name("provider calls of a create"), Unit::Count, number(calls) / f64::from(users));
    Ok(())
}

/// Returns the time until this many towns run, if only the limits on creates and one create take time.
///
/// It is the limit on machines of a shared app, and on apps of the organization where each user has one.
fn allowed(towns: u32) -> Duration {
    ONE_CREATE + Duration::from_secs(u64::from(towns.saturating_sub(BURST)))
}

/// Sends a create. Its answer does not matter, because the rows show when the town runs.
async fn create(mut connection: Connection, token: &str) -> anyhow::Result<()> {
    trpc::mutate(&mut connection, "createTown", &json!({ "townName": "mill" }), token).await.map(|_| ())
}

/// The towns that came to run.
struct Running {
    /// The time of each, since the requests.
    after: Latencies,
    /// Those that ran when the limits allowed all of them to.
    in_time: usize,
}

/// Watches the rows until all towns run or the time is over.
async fn watch(
    database: &Database,
    users: usize,
    begun: Instant,
    bound: Duration,
    allowed: Duration,
) -> anyhow::Result<Running> {
    let (mut times, mut said) = (Vec::new(), Instant::now());
    while times.len() < users && begun.elapsed() < bound {
        sleep(POLL_INTERVAL).await;
        let count = database.count("SELECT count(*) FROM gastown_towns WHERE status = 'running'").await?;
        let count = usize::try_from(count).context("a count is negative")?;
        times.resize(count.max(times.len()), begun.elapsed());
        if said.elapsed() >= SAY_INTERVAL {
            said = Instant::now();
            say(format!("{} of {users} towns run", times.len()));
        }
    }
    let in_time = times.iter().filter(|time| **time <= allowed + POLL_INTERVAL).count();
    Ok(Running { after: Latencies::new(times), in_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_admit_a_burst_and_then_one_a_second() {
        for (towns, want) in [(1, 0), (3, 0), (4, 1), (30, 27)] {
            assert_eq!(allowed(towns).saturating_sub(ONE_CREATE).as_secs(), want, "{towns}");
        }
    }
}
