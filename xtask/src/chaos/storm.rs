//! The load and all that goes wrong: faults, kills, external changes and a crash of the database, all at once.

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
use super::database::Database;
use super::external_changes;
use super::faults;
use super::kills::{Counts, Killer};
use super::ledger::Ledger;
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

/// The parts that are drawn from the seed, and their results.
pub(super) struct Storm {
    callers: Vec<Caller>,
    faults: StdRng,
    kills: StdRng,
    restart: StdRng,
    external: StdRng,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) counts: Counts,
    pub(super) recovery: Mutex<Recovery>,
    /// The time without a database, if it was crashed.
    pub(super) outage: Option<Duration>,
    /// From the end of the storm until nothing was in flight; `None` if that did not happen in time.
    pub(super) idle_after: Option<Duration>,
}

impl Storm {
    /// Creates all parts. Each has its own generator, so that its draws do not depend on the speed of the others.
    pub(super) fn new(seed: u64, stage: &Stage) -> anyhow::Result<Self> {
        let mut seeds = StdRng::seed_from_u64(seed);
        let mut rng = || StdRng::from_rng(&mut seeds);
        let (faults, kills, restart) = (rng(), rng(), rng());
        let ledger = Arc::default();
        let callers = callers(stage, &ledger, &mut rng)?;
        let external = rng();
        Ok(Self {
            callers,
            faults,
            kills,
            restart,
            external,
            ledger,
            counts: Counts::default(),
            recovery: Mutex::default(),
            outage: None,
            idle_after: None,
        })
    }

    /// Runs load and faults for `duration`, then waits without faults until nothing is in flight.
    pub(super) async fn run(&mut self, stage: &mut Stage, duration: Duration) -> anyhow::Result<()> {
        let Self { callers, faults, kills, restart, external, ledger, counts, recovery, outage, idle_after } = self;
        let (pool, users) = (stage.database.pool().clone(), stage.user_ids());
        let Stage { database, fly, replicas, .. } = stage;
        let (sender, deaths) = unbounded_channel();
        let mut killer = Killer::new(replicas, kills, counts, sender);
        let end = Instant::now() + duration;
        let note = || {
            let calls = ledger.lock().unwrap_or_else(PoisonError::into_inner).calls();
            format!("{calls} calls, {} kills, {} taken over", counts.kills(), recovery::locked(recovery).taken_over())
        };
        let work = async {
            let all = async {
                let load = load(std::mem::take(callers), end);
                let faults = disturb(end, fly, (faults, external), ledger);
                let restart = crash_once(database, restart, duration, outage);
                tokio::try_join!(load, faults, restart, killer.kill_until(end))
            };
            watched("chaos", PROGRESS_INTERVAL, note, all).await?;
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

/// Crashes the database once, about halfway through the run, and starts it again. Does nothing to a database of the user.
async fn crash_once(
    database: &mut Database,
    rng: &mut StdRng,
    duration: Duration,
    outage: &mut Option<Duration>,
) -> anyhow::Result<()> {
    let Some(cluster) = database.cluster() else { return Ok(()) };
    tokio::time::sleep(duration.mul_f64(rng.random_range(0.4..0.6))).await;
    let crashed = Instant::now();
    cluster.crash().await?;
    tokio::time::sleep(Duration::from_millis(rng.random_range(DOWNTIME))).await;
    cluster.start_again().await?;
    *outage = Some(crashed.elapsed());
    Ok(())
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
