//! `bench growth`: reads and creates as the number of towns and machines grows.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::lifecycle::{Operation, Owner, ready_clients};
use crate::measure::closed_loop::Measured;
use crate::measure::latencies::{Latencies, number};
use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::reads::{INSTANT_FLY, ListReads, Readers, StatusReads, load};
use crate::report::{Figure, Unit};
use crate::stage::{Fly, Postgres, ServerSetup, seed};

mod inspection;

/// The numbers of towns. The first is what the others are compared with.
const TOWNS: [usize; 3] = [1_000, 100_000, 1_000_000];
const QUICK_TOWNS: [usize; 2] = [1_000, 20_000];
/// The numbers of machines in the app.
const MACHINES: [usize; 2] = [10, 10_000];
const QUICK_MACHINES: [usize; 2] = [10, 1_000];
/// From the readiness of a server until the first phase.
const REST: Duration = Duration::from_secs(3);
/// Creates at each number of machines.
const CREATES: usize = 20;

/// Measures growth. Each number of towns has as many phases as there are rounds.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let towns: &[usize] = if options.quick { &QUICK_TOWNS } else { &TOWNS };
    let machines = if options.quick { QUICK_MACHINES } else { MACHINES };
    say("starting Postgres");
    let postgres = Postgres::start().await?;
    let mut series = Series::default();
    reads(&postgres, towns, options, &mut series).await?;
    creates(&postgres, machines, &mut series).await?;
    inspection::run(&postgres, machines[1], &mut series).await?;
    Ok(series.medians())
}

async fn reads(postgres: &Postgres, sizes: &[usize], options: &Options, series: &mut Series) -> anyhow::Result<()> {
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("growth").await?;
    let (mut known, mut smallest) = (0, None);
    for size in sizes.iter().copied() {
        say(format!("inserting {} towns, {size} in all", size - known));
        seed::towns(&database, known + 1, size).await?;
        known = size;
        let readers = Readers::of(size)?;
        let server = ServerSetup::new(&database, &fly).start().await?;
        // The first drift pass reads all rows once.
        sleep(REST).await;
        let load = load(&server, postgres, options.phase);
        let mut reads = Reads::default();
        for round in 1..=options.rounds {
            say(format!("reads of {size} towns, round {round} of {}", options.rounds));
            reads.status.push(load.send(&StatusReads(readers.clone())).await?);
            reads.list.push(load.send(&ListReads(readers.clone())).await?);
        }
        reads.add(series, size, smallest.as_ref());
        series.add(format!("{size} towns: server memory"), Unit::Mebibytes, server.memory_mib());
        server.stop().await?;
        smallest = smallest.or(Some(reads));
    }
    Ok(())
}

/// The reads at one number of towns, measured once for each round.
#[derive(Default)]
struct Reads {
    status: Vec<Measured>,
    list: Vec<Measured>,
}

impl Reads {
    /// Adds rates and CPU times, beside those at the smallest number of towns.
    fn add(&self, series: &mut Series, size: usize, smallest: Option<&Self>) {
        for (procedure, reads, smallest) in [
            ("getTownStatus", &self.status, smallest.map(|smallest| &smallest.status)),
            ("listTowns", &self.list, smallest.map(|smallest| &smallest.list)),
        ] {
            for (at, measured) in reads.iter().enumerate() {
                let smallest = smallest.and_then(|smallest| smallest.get(at));
                let mut beside = |what: &str, unit, of: fn(&Measured) -> f64| {
                    let name = format!("{size} towns: {procedure} {what}");
                    series.beside(name, unit, of(measured), smallest.map(of));
                };
                beside("requests", Unit::PerSecond, |measured| measured.per_second);
                beside("server CPU", Unit::Milliseconds, |measured| measured.cpu_ms[0]);
                beside("Postgres CPU", Unit::Milliseconds, |measured| measured.cpu_ms[1]);
            }
        }
    }
}

/// Measures creates in an app with few and with many machines of other towns.
async fn creates(postgres: &Postgres, machines: [usize; 2], series: &mut Series) -> anyhow::Result<()> {
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("creates").await?;
    let tokens = ready_clients(&database, 0, 1).await?;
    let server = ServerSetup::new(&database, &fly).start().await?;
    let mut owner = Owner::connect(server.address, &tokens[0]).await?;
    let (mut known, mut fewest) = (0, None);
    for count in machines {
        say(format!("creates in an app with {count} machines"));
        fly.add_towns(known + 1..=count).await?;
        known = count;
        let created = create_some(&fly, &mut owner).await?;
        let p50 = created.latencies.percentile_ms(50);
        let (name, reference) = (format!("{count} machines: create"), fewest.as_ref());
        let reference = |of: fn(&Created) -> f64| reference.map(of);
        series.beside(format!("{name} p50"), Unit::Milliseconds, p50, reference(|few| few.latencies.percentile_ms(50)));
        series.beside(format!("{name} provider calls"), Unit::Count, created.calls, reference(|few| few.calls));
        fewest = fewest.or(Some(created));
    }
    server.stop().await
}

/// Some creates, and the calls of each.
struct Created {
    latencies: Latencies,
    calls: f64,
}

async fn create_some(fly: &Fly, owner: &mut Owner) -> anyhow::Result<Created> {
    // The first create checks the app.
    owner.run(Operation::Create).await?;
    let calls_before = fly.calls_after(0).await?.len();
    let mut latencies: Vec<Duration> = Vec::new();
    for _ in 0..CREATES {
        let begun = Instant::now();
        owner.run(Operation::Create).await?;
        latencies.push(begun.elapsed());
    }
    let calls = fly.calls_after(calls_before).await?.len();
    Ok(Created { calls: number(calls) / number(CREATES), latencies: Latencies::new(latencies) })
}
