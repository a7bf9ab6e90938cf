//! `bench overload`: ten times the load that the server can answer, and what its users notice.

mod changes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::Measured;
use crate::lifecycle::ready_clients;
use crate::measure::bystander::{Bystander, Observed};
use crate::measure::closed_loop::{Load, Requests};
use crate::measure::crowd::{Crowd, Tally};
use crate::measure::latencies::{millis, number};
use crate::measure::random::Random;
use crate::measure::trpc;
use crate::options::Options;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, Fly, Postgres, Server, ServerSetup, open_file_limit, seed, tokens};
use changes::Changes;

/// The users with towns. The first one is quiet, the second one is greedy.
const USERS: usize = 40;
/// The towns of a user, whose list is the read. Each has a configuration.
const TOWNS_PER_USER: usize = 20;
const CONFIG_BYTES: usize = 4_000;
/// The connections with which the capacity is measured.
const CAPACITY_CLIENTS: usize = 32;
/// The clients that offer the load.
const CLIENTS: usize = 1_500;
/// The load, as a multiple of the capacity.
const FACTOR: f64 = 10.0;
/// The users who create and destroy towns meanwhile.
const CREATORS: usize = 4;
/// The time after the load in which the recovery is watched.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// The limits of one kind of build, in milliseconds.
struct Bounds {
    answered_p50: f64,
    answered_p99: f64,
    refused_p99: f64,
    quiet_p99: f64,
}

const RELEASE: Bounds = Bounds { answered_p50: 750.0, answered_p99: 1_500.0, refused_p99: 1_500.0, quiet_p99: 500.0 };
const DEBUG: Bounds = Bounds { answered_p50: 3_000.0, answered_p99: 5_000.0, refused_p99: 5_000.0, quiet_p99: 2_500.0 };

/// The answers that the server still gives, compared with its capacity.
const MIN_GOODPUT: f64 = 0.3;
/// The part of the load that was sent indeed: four times the capacity. A client sends its next request after the last answer, so
/// refusals that wait in the queue lower it. With less the run proves nothing.
const MIN_OFFERED: f64 = 0.4;
/// The answered share of a user with few requests.
const MIN_SUCCESS: f64 = 0.99;
const MAX_RECOVERY_SECONDS: f64 = 2.0;

/// The lists of random users. Every second request is of the greedy one.
#[derive(Debug, Clone)]
struct Lists {
    greedy: Arc<str>,
    others: Arc<[String]>,
}

impl Requests for Lists {
    fn write_next(&self, random: &mut Random, request: &mut String) {
        request.clear();
        if random.below(2) == 0 {
            request.push_str(&self.greedy);
        } else {
            request.push_str(&self.others[random.below(self.others.len())]);
        }
    }
}

/// Measures the capacity, offers ten times as much, and watches the recovery.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Measured> {
    open_file_limit::raise(CLIENTS)?;
    say("starting Postgres, the simulated Fly and gastown");
    let postgres = Postgres::start().await?;
    let fly = Fly::start(INSTANT_FLY).await?;
    let database = postgres.create("overload").await?;
    fill(&database).await?;
    let creators = ready_clients(&database, USERS, CREATORS).await?;
    let server = ServerSetup::new(&database, &fly).start().await?;
    let tokens = tokens(1..=USERS)?;
    let requests: Vec<_> = tokens.iter().map(|token| list(token)).collect();
    let lists = Lists { greedy: requests[1].as_str().into(), others: requests[2..].into() };

    let processes = [server.process_id(), postgres.process_id()];
    let load = Load { address: server.address, clients: CAPACITY_CLIENTS, phase: options.phase, processes };
    say("measuring the capacity");
    let capacity = load.send(&Everyone(Arc::clone(&lists.others))).await?.per_second;
    say(format!("{capacity:.0} lists/s; offering {FACTOR} times as many"));

    let quiet = Bystander::start(server.address, requests[0].clone());
    let changes = Changes::start(server.address, creators);
    let (begun, until) = (Instant::now(), Instant::now() + 2 * options.phase);
    let interval = Some(Duration::from_secs_f64(number(CLIENTS) / (capacity * FACTOR)));
    let tally = Crowd { address: server.address, clients: CLIENTS, until, interval }.send(&lists).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    say("the load has ended; watching the recovery");
    let greedy = Bystander::start(server.address, lists.greedy.to_string());
    sleep(AFTERWARDS).await;
    let (quiet, greedy) = (quiet.stop().await?, greedy.stop().await?);
    let bounds = if cfg!(debug_assertions) { &DEBUG } else { &RELEASE };
    let mut checks = of_load(&tally, capacity, elapsed, bounds)?;
    checks.extend(of_users(&quiet, &greedy, until, bounds));
    checks.extend(changes.stop().await?.judge(&database).await?);
    checks.push(memory(&server));
    server.stop().await?;
    Ok(Measured::Checks { checks, errors: Vec::new() })
}

/// The lists of all users alike.
#[derive(Debug, Clone)]
struct Everyone(Arc<[String]>);

impl Requests for Everyone {
    fn write_next(&self, random: &mut Random, request: &mut String) {
        request.clear();
        request.push_str(&self.0[random.below(self.0.len())]);
    }
}

fn list(token: &str) -> String {
    let mut request = String::new();
    trpc::write_query(&mut request, "listTowns", None, token);
    request
}

/// Inserts users with stopped towns.
async fn fill(database: &Database) -> anyhow::Result<()> {
    seed::users(database, 1, USERS).await?;
    let columns = "(id, user_id, town_name, sandbox_id, status, config, created_at)";
    let config = format!("jsonb_build_object('large', repeat('x', {CONFIG_BYTES}))");
    let rows = format!(
        "SELECT gen_random_uuid(), 'user-' || u, 'town-' || n, u || '-' || n, 'stopped', {config}, now() \
         FROM generate_series(1, {USERS}) AS u, generate_series(1, {TOWNS_PER_USER}) AS n"
    );
    database.execute(&format!("INSERT INTO gastown_towns {columns} {rows}")).await?;
    database.execute("VACUUM ANALYZE").await
}

fn of_load(tally: &Tally, capacity: f64, elapsed: f64, bounds: &Bounds) -> anyhow::Result<Vec<Check>> {
    ensure!(tally.answered() > 0 && tally.refused() > 0, "no overload: {:?}", tally.example());
    let offered = number(tally.sent()) / elapsed / (capacity * FACTOR);
    let goodput = number(tally.answered()) / elapsed / capacity;
    let shed = number(tally.refused()) / number(tally.sent());
    let (answered, refused) = (tally.latencies_of_answered(), tally.latencies_of_refused());
    let ms = |name: &str, value, most| Check::new(name, Unit::Milliseconds, value, Limit::AtMost(most));
    Ok(vec![
        Check::new("capacity", Unit::PerSecond, capacity, Limit::AtLeast(1.0)),
        Check::new("offered load / ten times the capacity", Unit::Ratio, offered, Limit::AtLeast(MIN_OFFERED)),
        Check::new("answered load / capacity", Unit::Ratio, goodput, Limit::AtLeast(MIN_GOODPUT)),
        Check::new("share of refused requests", Unit::Ratio, shed, Limit::AtMost(1.0 - 1.0 / FACTOR / 10.0)),
        Check::new("refusals without code, envelope or time", Unit::Count, number(tally.broken()), Limit::AtMost(0.0)),
        ms("p50 of what is answered", answered.percentile_ms(50), bounds.answered_p50),
        ms("p99 of what is answered", answered.percentile_ms(99), bounds.answered_p99),
        ms("p99 of refusals", refused.percentile_ms(99), bounds.refused_p99),
    ])
}

/// Judges a quiet user during the load, and both after it.
fn of_users(quiet: &Observed, greedy: &Observed, end: Instant, bounds: &Bounds) -> Vec<Check> {
    let p99 = quiet.latencies().percentile_ms(99);
    let fast = Duration::from_secs_f64(bounds.quiet_p99 / 1_000.0);
    let recovered = quiet.recovered_after(end, fast).max(greedy.recovered_after(end, fast));
    vec![
        Check::new("p99 of a quiet user", Unit::Milliseconds, p99, Limit::AtMost(bounds.quiet_p99)),
        Check::new("success of a quiet user", Unit::Ratio, quiet.success(), Limit::AtLeast(MIN_SUCCESS)),
        Check::new("recovery", Unit::Seconds, millis(recovered) / 1_000.0, Limit::AtMost(MAX_RECOVERY_SECONDS)),
    ]
}

/// Answers of a list have about 80 kB, and a place in the queue has none yet.
fn memory(server: &Server) -> Check {
    const MAX_MIB: f64 = 256.0;
    Check::new("server memory at its peak", Unit::Mebibytes, server.peak_mib(), Limit::AtMost(MAX_MIB))
}
