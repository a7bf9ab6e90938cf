//! The load and all that goes wrong at once: faults, kills, freezes, external changes, cuts of the network, and crashes and
//! failovers of the database.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use fly_sim::FlySim;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::account;
use super::caller::{Caller, KnownTowns};
use super::cuts;
use super::database::Database;
use super::disturbances::{Disturbances, Part};
use super::external_changes;
use super::faults;
use super::kills::{Counts, Killer};
use super::ledger::Ledger;
use super::reads::{Reader, Reads};
use super::recovery::{self, Recovery};
use super::replica::url_of;
use super::rows::Rows;
use super::stage::Stage;
use super::world::World;
use crate::progress::watched;
use crate::trpc::Trpc;

/// Clients of each user.
const CLIENTS: usize = 1;
/// Longer than the control plane lets a caller wait, with the margin that it asks of proxies.
const CALL_TIMEOUT: Duration = Duration::from_secs(45);
/// For all operations in flight to end, once there are no more faults.
const IDLE_TIMEOUT: Duration = Duration::from_secs(240);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The interval of progress lines in a log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// Milliseconds that the database stays down.
const DOWNTIME: std::ops::RangeInclusive<u64> = 500..=3000;

/// The parts of a run in which the database fails over, and in which it is crashed and started again.
const FAIL_OVERS: [std::ops::Range<f64>; 2] = [0.1..0.25, 0.65..0.8];
const RESTART: std::ops::Range<f64> = 0.4..0.55;

/// Counts of the outages of the database.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outages {
    pub(super) restarts: u64,
    pub(super) fail_overs: u64,
    pub(super) longest: Duration,
}

/// The parts that are drawn from the seed, and their results.
pub(super) struct Storm {
    callers: Vec<Caller>,
    faults: StdRng,
    kills: StdRng,
    outages: StdRng,
    cuts: StdRng,
    external: StdRng,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) counts: Counts,
    pub(super) recovery: Mutex<Recovery>,
    pub(super) outages_of_database: Outages,
    /// The cuts of the network between a replica and the database.
    pub(super) network_cuts: AtomicU64,
    pub(super) disturbances: Disturbances,
    pub(super) reads: Reads,
    /// From the end of the storm until nothing was in flight; `None` if that did not happen in time.
    pub(super) idle_after: Option<Duration>,
}

impl Storm {
    /// Creates all parts. Each has its own generator, so that its draws do not depend on the speed of the others.
    pub(super) fn new(seed: u64, stage: &Stage) -> anyhow::Result<Self> {
        let mut seeds = StdRng::seed_from_u64(seed);
        let mut rng = || StdRng::from_rng(&mut seeds);
        let (faults, kills, outages, cuts) = (rng(), rng(), rng(), rng());
        let ledger = Arc::default();
        let callers = callers(stage, &ledger, &mut rng)?;
        let external = rng();
        Ok(Self {
            callers,
            faults,
            kills,
            outages,
            cuts,
            external,
            ledger,
            counts: Counts::default(),
            recovery: Mutex::default(),
            outages_of_database: Outages::default(),
            network_cuts: AtomicU64::default(),
            disturbances: Disturbances::default(),
            reads: Reads::default(),
            idle_after: None,
        })
    }

    /// Runs load and faults for `duration`, then waits without faults until nothing is in flight.
    pub(super) async fn run(&mut self, stage: &mut Stage, duration: Duration) -> anyhow::Result<()> {
        let Self { callers, faults, kills, outages, cuts, external, ledger, counts, recovery, .. } = self;
        let (disturbances, idle_after) = (&self.disturbances, &mut self.idle_after);
        let (pool, users) = (stage.database.pool().clone(), stage.user_ids());
        let reader = Reader::prepare(stage, ledger).await?;
        let Stage { database, fly, replicas, .. } = stage;
        let (sender, deaths) = unbounded_channel();
        let mut killer = Killer::new(replicas, kills, (counts, disturbances), sender);
        let (start, networks) = (Instant::now(), database.networks());
        let end = start + duration;
        let note = || {
            let calls = ledger.lock().unwrap_or_else(PoisonError::into_inner).calls();
            format!("{calls} calls, {} kills, {} taken over", counts.kills(), recovery::locked(recovery).taken_over())
        };
        let work = async {
            let all = async {
                let load = load(std::mem::take(callers), end);
                let faults = disturb(end, fly, (faults, external), ledger);
                let cuts = async {
                    cuts::cut_until(end, &networks, cuts, (disturbances, &self.network_cuts)).await;
                    Ok(())
                };
                let outages = disturb_database(database, outages, (start, duration), disturbances);
                tokio::try_join!(load, faults, outages, cuts, reader.read_until(end), killer.kill_until(end))
            };
            let ((), (), outages, (), reads, ()) = watched("chaos", PROGRESS_INTERVAL, note, all).await?;
            (self.outages_of_database, self.reads) = (outages, reads);
            fly.clear_faults();
            let last_fault = Instant::now();
            let idle = until_idle(&pool, &users, fly, ledger);
            let reached =
                watched("waiting until idle", PROGRESS_INTERVAL, note, killer.keep_running_while(idle)).await?;
            *idle_after = reached.then(|| last_fault.elapsed());
            Ok(())
        };
        tokio::select! {
            done = work => done,
            never = recovery::watch(pool.clone(), recovery, deaths) => match never {},
        }
    }
}

/// Creates the clients of all users.
fn callers(stage: &Stage, ledger: &Arc<Mutex<Ledger>>, mut rng: impl FnMut() -> StdRng) -> anyhow::Result<Vec<Caller>> {
    let http = reqwest::Client::builder().no_proxy().timeout(CALL_TIMEOUT).build()?;
    let mut callers = Vec::new();
    for user in &stage.users {
        let known = Arc::<KnownTowns>::default();
        for client in 1..=CLIENTS {
            let replica = |port: &u16| Trpc::with_http(http.clone(), &url_of(*port), user.token.expose_secret());
            callers.push(Caller {
                name: format!("{}/{client}", user.id),
                replicas: stage.ports.iter().map(replica).collect(),
                known: Arc::clone(&known),
                ledger: Arc::clone(ledger),
                rng: rng(),
                creates: 0,
            });
        }
    }
    Ok(callers)
}

/// Injects faults and changes machines from outside until `end`, each with its own generator.
async fn disturb(
    end: Instant,
    fly: &FlySim,
    (faults, external): (&mut StdRng, &mut StdRng),
    ledger: &Mutex<Ledger>,
) -> anyhow::Result<()> {
    let faults = faults::inject_until(end, fly, faults);
    tokio::join!(faults, external_changes::apply_until(end, fly, external, ledger));
    Ok(())
}

/// Runs all clients at once. A client that ends early has panicked.
async fn load(callers: Vec<Caller>, end: Instant) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for caller in callers {
        clients.spawn(caller.call_until(end));
    }
    while let Some(ended) = clients.join_next().await {
        ended.context("a client panicked")?;
    }
    Ok(())
}

/// Lets the database fail over twice, and crashes it and starts it again in between. Does nothing to a database of the user.
async fn disturb_database(
    database: &mut Database,
    rng: &mut StdRng,
    (start, duration): (Instant, Duration),
    disturbances: &Disturbances,
) -> anyhow::Result<Outages> {
    let mut outages = Outages::default();
    let Some(servers) = database.servers() else { return Ok(outages) };
    let [first, second] = FAIL_OVERS;
    for (part, fails_over) in [(first, true), (RESTART, false), (second, true)] {
        tokio::time::sleep_until(start + duration.mul_f64(rng.random_range(part))).await;
        let (pause, meets_standby) = (Duration::from_millis(rng.random_range(DOWNTIME)), rng.random());
        let crashed = Instant::now();
        disturbances.begin(Part::Database);
        let mut back = || {
            disturbances.end(Part::Database);
            outages.longest = outages.longest.max(crashed.elapsed());
        };
        if fails_over {
            servers.fail_over(meets_standby, back).await?;
            outages.fail_overs += 1;
        } else {
            servers.restart(pause).await?;
            back();
            outages.restarts += 1;
        }
    }
    Ok(outages)
}

/// Polls until nothing is in flight and every row agrees with Fly, twice in a row. Returns false after the timeout.
async fn until_idle(pool: &PgPool, users: &[String], fly: &FlySim, ledger: &Mutex<Ledger>) -> bool {
    let wait = async {
        let mut agreeing = 0;
        while agreeing < 2 {
            tokio::time::sleep(POLL_INTERVAL).await;
            agreeing = match Rows::read(pool, users).await {
                Ok(rows) if is_idle(&rows, &World::of(fly), ledger) => agreeing + 1,
                _ => 0,
            };
        }
    };
    tokio::time::timeout(IDLE_TIMEOUT, wait).await.is_ok()
}

fn is_idle(rows: &Rows, world: &World, ledger: &Mutex<Ledger>) -> bool {
    let is_at_rest = rows.operations.is_empty() && rows.pending_rigs().next().is_none() && world.is_at_rest();
    is_at_rest && !account::is_drifting(rows, world, &ledger.lock().unwrap_or_else(PoisonError::into_inner))
}
