//! `bench reads`: getTownStatus and listTowns on many towns, beside pgbench with one statement.

use std::time::Duration;

use crate::lifecycle::{Clients, ready_clients};
use crate::measure::closed_loop::{Load, Measured};
use crate::measure::latencies::millis;
use crate::measure::pgbench::{self, Floor};
use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::report::{Figure, Unit};
use crate::stage::{Database, Fly, FlySetup, Limits, Postgres, Server, ServerSetup, Timing, seed};

mod requests;
mod statements;

pub(crate) use requests::{Heartbeats, ListReads, Readers, StatusReads};

/// The connections of both the load and `pgbench`.
pub(crate) const CLIENTS: usize = 32;
/// The clients that create and destroy towns while reads are measured.
const CREATORS: usize = 32;
/// From the readiness of a server until its memory at rest is read.
const REST: Duration = Duration::from_millis(500);

/// A provider without delays and limits.
pub(crate) const INSTANT_FLY: FlySetup = FlySetup { timing: Timing::Instant, latency_ms: None, limits: Limits::Off };

/// A provider whose calls take 100 ms each.
const SLOW_FLY: FlySetup = FlySetup { latency_ms: Some(100), ..INSTANT_FLY };

/// The parts that all rounds share.
struct Bench<'a> {
    postgres: &'a Postgres,
    database: &'a Database,
    fly: &'a Fly,
    slow_fly: &'a Fly,
    readers: Readers,
    creators: Vec<String>,
    towns: usize,
    phase: Duration,
}

/// Measures reads and returns the medians over all rounds.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let towns = if options.quick { 2_000 } else { 100_000 };
    say("starting Postgres and the simulated Fly");
    let postgres = Postgres::start().await?;
    let fly = Fly::start(INSTANT_FLY).await?;
    let slow_fly = Fly::start(SLOW_FLY).await?;
    let database = postgres.create("reads").await?;
    say(format!("inserting {towns} towns"));
    seed::towns(&database, 1, towns).await?;
    let creators = ready_clients(&database, towns / seed::TOWNS_PER_USER, CREATORS).await?;
    let (postgres, database, fly, slow_fly, phase) = (&postgres, &database, &fly, &slow_fly, options.phase);
    let bench = Bench { postgres, database, fly, slow_fly, readers: Readers::of(towns)?, creators, towns, phase };
    let mut series = Series::default();
    for round in 1..=options.rounds {
        say(format!("round {round} of {}", options.rounds));
        bench.round(&mut series).await?;
    }
    Ok(series.medians())
}

impl Bench<'_> {
    async fn round(&self, series: &mut Series) -> anyhow::Result<()> {
        let server = ServerSetup::new(self.database, self.fly).start().await?;
        tokio::time::sleep(REST).await;
        let idle = server.memory_mib();
        let floor = self.floor(&statements::town_status(self.towns)).await?;
        let undisturbed = self.load(&server).send(&StatusReads(self.readers.clone())).await?;
        add(series, "getTownStatus", &undisturbed, floor);
        let floor = self.floor(&statements::list_towns(self.towns)).await?;
        let listed = self.load(&server).send(&ListReads(self.readers.clone())).await?;
        add(series, "listTowns", &listed, floor);
        let heard = self.load(&server).send(&Heartbeats::of(self.towns)?).await?;
        add(series, "heartbeat", &heard, None);
        let calm = undisturbed.latencies.percentile_ms(99);
        let disturbed = self.reads_during_creates(&server).await?;
        let name = "getTownStatus p99 during creates, provider at 0 ms";
        series.beside(name, Unit::Milliseconds, disturbed.latencies.percentile_ms(99), Some(calm));
        series.add("server memory, idle", Unit::Mebibytes, idle);
        series.add("server memory, loaded", Unit::Mebibytes, server.memory_mib());
        series.add("server start to ready", Unit::Milliseconds, millis(server.ready_after));
        server.stop().await?;
        let server = ServerSetup::new(self.database, self.slow_fly).start().await?;
        let disturbed = self.reads_during_creates(&server).await?;
        let name = "getTownStatus p99 during creates, provider at 100 ms";
        series.beside(name, Unit::Milliseconds, disturbed.latencies.percentile_ms(99), Some(calm));
        server.stop().await
    }

    async fn floor(&self, script: &str) -> anyhow::Result<Option<Floor>> {
        pgbench::run(self.postgres, self.database.name, script, CLIENTS, self.phase).await
    }

    fn load(&self, server: &Server) -> Load {
        load(server, self.postgres, self.phase)
    }

    async fn reads_during_creates(&self, server: &Server) -> anyhow::Result<Measured> {
        let creating = Clients::start(server.address, &self.creators);
        let measured = self.load(server).send(&StatusReads(self.readers.clone())).await?;
        creating.stop().await?;
        Ok(measured)
    }
}

/// Returns the load of [`CLIENTS`] readers.
pub(crate) fn load(server: &Server, postgres: &Postgres, phase: Duration) -> Load {
    let processes = [server.process_id(), postgres.process_id()];
    Load { address: server.address, clients: CLIENTS, phase, processes }
}

fn add(series: &mut Series, procedure: &str, measured: &Measured, floor: Option<Floor>) {
    let latencies = &measured.latencies;
    let [server, postgres] = measured.cpu_ms;
    let name = |what: &str| format!("{procedure} {what}");
    let rate = floor.map(|floor| floor.per_second);
    series.beside(name("requests"), Unit::PerSecond, measured.per_second, rate);
    series.add(name("p50"), Unit::Milliseconds, latencies.percentile_ms(50));
    series.add(name("p99"), Unit::Milliseconds, latencies.percentile_ms(99));
    series.add(name("server CPU"), Unit::Milliseconds, server);
    let cpu = floor.map(|floor| floor.postgres_cpu_ms);
    series.beside(name("Postgres CPU"), Unit::Milliseconds, postgres, cpu);
}
