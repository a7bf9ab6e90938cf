//! The time of one run of the drift detector over settled towns.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::measure::latencies::number;
use crate::measure::series::Series;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::Unit;
use crate::stage::{Fly, Postgres, SHARED_APP, ServerSetup, seed};

/// The most that is waited for one run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures the time from the start of a server until it has compared every town with the provider.
pub(super) async fn run(postgres: &Postgres, towns: usize, series: &mut Series) -> anyhow::Result<()> {
    say(format!("inspecting {towns} settled towns"));
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("inspection").await?;
    seed::towns(&database, 1, towns).await?;
    let resources = fly.add_towns(1..=towns).await?;
    seed::record_resources(&database, resources).await?;
    let calls_before = fly.calls_after(0).await?.len();
    let begun = Instant::now();
    let server = ServerSetup::new(&database, &fly).start().await?;
    while database.count("SELECT count(*) FROM gastown_town_health WHERE checked_at IS NULL").await? > 0 {
        ensure!(begun.elapsed() < TIMEOUT, "not every town was inspected within {TIMEOUT:?}");
        sleep(Duration::from_millis(20)).await;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let calls = fly.calls_after(calls_before).await?.len();
    let drifted = database.count("SELECT count(*) FROM gastown_town_health WHERE suspicion IS NOT NULL").await?;
    ensure!(drifted == 0, "{drifted} of {towns} towns in app {SHARED_APP} do not look settled");
    series.add(format!("inspection of {towns} towns"), Unit::Seconds, elapsed);
    series.add(format!("inspection of {towns} towns: provider calls"), Unit::Count, number(calls));
    server.stop().await
}
