//! The rate of one pass of the drift detector over settled towns.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use crate::measure::latencies::number;
use crate::measure::series::Series;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::Unit;
use crate::stage::{Database, Fly, Postgres, ServerSetup, seed};

/// The most that is waited for the first pass, and for its end.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The setting's default. The first pass comes after about a quarter of it.
const INSPECT_SECONDS: u32 = 60;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Measures how many towns a second one pass compares with a provider that takes no time.
pub(super) async fn run(postgres: &Postgres, towns: usize, series: &mut Series) -> anyhow::Result<()> {
    say(format!("inspecting {towns} settled towns"));
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("inspection").await?;
    seed::towns(&database, 1, towns).await?;
    let resources = fly.add_towns(1..=towns).await?;
    seed::record_resources(&database, resources).await?;
    let server = ServerSetup { inspect_seconds: INSPECT_SECONDS, ..ServerSetup::new(&database, &fly) }.start().await?;
    let all = wait_while(&database, towns, |left| left == towns).await?;
    ensure!(all < towns, "no town was inspected within {TIMEOUT:?}");
    let (begun, calls_before) = (Instant::now(), fly.calls_after(0).await?.len());
    let left = wait_while(&database, all, |left| left > 0).await?;
    let (elapsed, inspected) = (begun.elapsed().as_secs_f64(), number(all - left));
    let calls = fly.calls_after(calls_before).await?.len();
    let differing = database.count("SELECT count(*) FROM gastown_town_health WHERE suspicion IS NOT NULL").await?;
    ensure!(differing == 0, "{differing} towns do not look settled");
    series.add(format!("inspection of {towns} towns"), Unit::PerSecond, inspected / elapsed);
    series.add(format!("inspection of {towns} towns: calls per town"), Unit::Count, number(calls) / inspected);
    server.stop().await
}

/// Waits while the number of towns that were not inspected meets the condition. Returns that number.
async fn wait_while(database: &Database, mut left: usize, goes_on: impl Fn(usize) -> bool) -> anyhow::Result<usize> {
    let begun = Instant::now();
    while goes_on(left) && begun.elapsed() < TIMEOUT {
        sleep(POLL_INTERVAL).await;
        let count = database.count("SELECT count(*) FROM gastown_town_health WHERE checked_at IS NULL").await?;
        left = usize::try_from(count).context("a count is negative")?;
    }
    Ok(left)
}
