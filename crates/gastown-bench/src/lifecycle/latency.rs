//! The time of each operation when every call to the provider and to a sandbox takes 100 ms.

use tokio::time::Instant;

use super::clients::ready_clients;
use super::operations::{Operation, Owner};
use super::throughput::drain;
use crate::measure::latencies::Latencies;
use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::Unit;
use crate::stage::{Fly, FlySetup, Postgres, ServerSetup};

/// The time of a call, in milliseconds.
const CALL_MS: u64 = 100;

/// Measures towns one after another, so that no operation waits for another one.
pub(super) async fn run(postgres: &Postgres, options: &Options, series: &mut Series) -> anyhow::Result<()> {
    let towns = if options.quick { 3 } else { 5 * options.rounds };
    say(format!("latency of {towns} towns, each call to the provider takes {CALL_MS} ms"));
    let fly = Fly::start(FlySetup { latency_ms: Some(CALL_MS), ..INSTANT_FLY }).await?;
    let database = postgres.create("latency").await?;
    let tokens = ready_clients(&database, 0, 1).await?;
    let server = ServerSetup::new(&database, &fly).start().await?;
    let mut owner = Owner::connect(server.address, &tokens[0]).await?;
    let mut latencies = Operation::LIFE.map(|operation| (operation, Vec::new()));
    for _ in 0..towns {
        for (operation, measured) in &mut latencies {
            let begun = Instant::now();
            owner.run(*operation).await?;
            measured.push(begun.elapsed());
            drain(&database).await?;
        }
    }
    for (operation, measured) in latencies {
        add(series, operation, &Latencies::new(measured));
    }
    server.stop().await
}

fn add(series: &mut Series, operation: Operation, latencies: &Latencies) {
    let name = operation.name();
    let ideal = Some(ideal_ms(operation));
    series.beside(format!("{name} p50"), Unit::Milliseconds, latencies.percentile_ms(50), ideal);
    series.beside(format!("{name} p99"), Unit::Milliseconds, latencies.percentile_ms(99), ideal);
}

/// Returns the time of the calls that an operation cannot do without, in milliseconds.
///
/// They are volume and machine of a create, and sync and stop of a stop. A start needs update and start, and a destroy
/// needs sync and both deletions.
fn ideal_ms(operation: Operation) -> f64 {
    match operation {
        Operation::Create | Operation::Stop | Operation::Start => 200.0,
        Operation::Destroy => 300.0,
    }
}
