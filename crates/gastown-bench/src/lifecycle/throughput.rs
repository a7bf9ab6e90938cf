//! Create and destroy in a closed loop, with a provider that takes no time.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::clients::{Clients, ready_clients};
use crate::measure::latencies::{millis, number};
use crate::measure::pgbench;
use crate::measure::process_tree::cpu_time;
use crate::measure::series::Series;
use crate::options::Options;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::Unit;
use crate::stage::{Database, Fly, Postgres, Server, ServerSetup, seed};

const CLIENTS: usize = 16;
/// The users whose rows the floor refers to.
const FLOOR_USERS: usize = 1_000;
/// For operations that go on after their answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);

/// The four statements of a town's life without a control plane, as a script for `pgbench`. Each is a transaction.
const FLOOR: &str = "\\set u random(1, 1000)\n\
    INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, created_at) VALUES (gen_random_uuid(), \
    'user-' || (:u)::int, gen_random_uuid()::text, gen_random_uuid()::text, now()) RETURNING id AS town \\gset\n\
    UPDATE gastown_towns SET fly_machine_id = 'machine', fly_volume_id = 'volume', status = 'running' \
    WHERE id = (:town)::uuid;\n\
    UPDATE gastown_towns SET fly_machine_id = NULL, fly_volume_id = NULL, status = 'destroyed', destroyed_at = now() \
    WHERE id = (:town)::uuid;\n\
    INSERT INTO gastown_town_events (id, town_id, actor, action, outcome, at) VALUES (gen_random_uuid(), \
    (:town)::uuid, 'user', 'create', 'accepted', now());\n";

/// Measures the rate and the CPU time of pairs of create and destroy.
pub(super) async fn run(postgres: &Postgres, options: &Options, series: &mut Series) -> anyhow::Result<()> {
    let floor = postgres.create("floor").await?;
    seed::users(&floor, 1, FLOOR_USERS).await?;
    let database = postgres.create("throughput").await?;
    let tokens = ready_clients(&database, 0, CLIENTS).await?;
    for round in 1..=options.rounds {
        say(format!("create and destroy, round {round} of {}", options.rounds));
        let floor = pgbench::run(postgres, floor.name, FLOOR, CLIENTS, options.phase).await?;
        // A fresh simulator, because lists take longer with the machines of earlier rounds.
        let fly = Fly::start(INSTANT_FLY).await?;
        let server = ServerSetup::new(&database, &fly).start().await?;
        let pairs = measure(postgres, &server, &tokens, options.phase).await?;
        series.beside("create + destroy", Unit::PerSecond, pairs.per_second, floor.map(|floor| floor.per_second));
        series.add("create + destroy server CPU", Unit::Milliseconds, pairs.server_cpu_ms);
        let cpu = floor.map(|floor| floor.postgres_cpu_ms);
        series.beside("create + destroy Postgres CPU", Unit::Milliseconds, pairs.postgres_cpu_ms, cpu);
        series.add("time to drain afterwards", Unit::Seconds, drain(&database).await?.as_secs_f64());
        server.stop().await?;
    }
    Ok(())
}

/// The cost of creating and destroying a town.
struct Pairs {
    per_second: f64,
    server_cpu_ms: f64,
    postgres_cpu_ms: f64,
}

async fn measure(postgres: &Postgres, server: &Server, tokens: &[String], phase: Duration) -> anyhow::Result<Pairs> {
    let clients = Clients::start(server.address, tokens);
    sleep(phase / 5).await;
    let cpu = || [server.process_id(), postgres.process_id()].map(cpu_time);
    let (begun, pairs_before, before) = (Instant::now(), clients.pairs(), cpu());
    sleep(phase).await;
    let (elapsed, pairs, after) = (begun.elapsed(), clients.pairs() - pairs_before, cpu());
    clients.stop().await?;
    ensure!(pairs > 0, "no town was created and destroyed within {phase:?}");
    let per_pair = |at: usize| millis(after[at].saturating_sub(before[at])) / number(pairs);
    let per_second = number(pairs) / elapsed.as_secs_f64();
    Ok(Pairs { per_second, server_cpu_ms: per_pair(0), postgres_cpu_ms: per_pair(1) })
}

/// Waits until no operation is in flight, and returns how long that took.
pub(super) async fn drain(database: &Database) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while database.count("SELECT count(*) FROM gastown_operations").await? > 0 {
        ensure!(begun.elapsed() < DRAIN_TIMEOUT, "operations are still in flight after {DRAIN_TIMEOUT:?}");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(begun.elapsed())
}
