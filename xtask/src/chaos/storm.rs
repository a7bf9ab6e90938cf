//! What goes wrong, and for how long: load, faults, kills and a restart of the database, all at once.

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
use super::caller::{Acquaintance, Caller};
use super::database::Database;
use super::faults;
use super::kills::{Killer, Toll};
use super::ledger::Ledger;
use super::mischief;
use super::recovery::{self, Recovery};
use super::replica::url_of;
use super::rows::Rows;
use super::stage::Stage;
use super::world::World;
use crate::progress::watched;
use crate::trpc::Trpc;

/// Clients of each user.
const CLIENTS: usize = 1;
/// Longer than the control plane lets a caller wait, and what it asks of proxies besides.
const CALL_DEADLINE: Duration = Duration::from_secs(45);
/// For everything in flight to come to its end, once nothing goes wrong any more.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// A log gets a line that often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Milliseconds that the database stays away.
const DOWN: std::ops::RangeInclusive<u64> = 500..=3000;

/// Everything that is drawn, and what came of it.
pub(super) struct Storm {
    callers: Vec<Caller>,
    faults: StdRng,
    kills: StdRng,
    restart: StdRng,
    mischief: StdRng,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) toll: Toll,
    pub(super) recovery: Mutex<Recovery>,
    /// How long the database was away, where it was restarted.
    pub(super) outage: Option<Duration>,
    /// From the end of the storm until nothing moved any more; none where something still does.
    pub(super) quiet_after: Option<Duration>,
}

impl Storm {
    /// Each part has dice of its own, all from one seed: what one draws does not depend on how fast the others are.
    pub(super) fn brew(seed: u64, stage: &Stage) -> anyhow::Result<Self> {
        let mut seeds = StdRng::seed_from_u64(seed);
        let mut dice = || StdRng::from_rng(&mut seeds);
        let (faults, kills, restart) = (dice(), dice(), dice());
        let ledger = Arc::default();
        let http = reqwest::Client::builder().no_proxy().timeout(CALL_DEADLINE).build()?;
        let mut callers = Vec::new();
        for user in &stage.users {
            let known = Arc::<Acquaintance>::default();
            for client in 1..=CLIENTS {
                let replica = |port: &u16| Trpc::over(http.clone(), &url_of(*port), user.token.expose_secret());
                callers.push(Caller {
                    name: format!("{}/{client}", user.id),
                    replicas: stage.ports.iter().map(replica).collect(),
                    known: Arc::clone(&known),
                    ledger: Arc::clone(&ledger),
                    dice: dice(),
                    creates: 0,
                });
            }
        }
        let mischief = dice();
        Ok(Self {
            callers,
            faults,
            kills,
            restart,
            mischief,
            ledger,
            toll: Toll::default(),
            recovery: Mutex::default(),
            outage: None,
            quiet_after: None,
        })
    }

    /// Lets everything go wrong for that long, then nothing any more, and waits until nothing moves.
    pub(super) async fn rage(&mut self, stage: &mut Stage, duration: Duration) -> anyhow::Result<()> {
        let Self { callers, faults, kills, restart, mischief, ledger, toll, recovery, outage, quiet_after } = self;
        let (pool, users) = (stage.database.pool().clone(), stage.user_ids());
        let Stage { database, fly, replicas, .. } = stage;
        let (tell, deaths) = unbounded_channel();
        let mut killer = Killer::new(replicas, kills, toll, tell);
        let end = Instant::now() + duration;
        let note = || {
            let calls = ledger.lock().unwrap_or_else(PoisonError::into_inner).calls();
            format!("{calls} calls, {} kills, {} taken over", toll.kills(), recovery::locked(recovery).taken_over())
        };
        let work = async {
            let all = async {
                let load = load(std::mem::take(callers), end);
                let faults = async {
                    faults::strike_until(end, fly, faults).await;
                    Ok(())
                };
                let mischief = async {
                    mischief::trouble_until(end, fly, mischief, ledger).await;
                    Ok(())
                };
                let restart = restart_once(database, restart, duration, outage);
                tokio::try_join!(load, faults, mischief, restart, killer.kill_until(end))
            };
            watched("chaos", SIGN_OF_LIFE, note, all).await?;
            fly.clear_faults();
            let calm = Instant::now();
            let quiet = async {
                tokio::select! {
                    reached = until_quiet(&pool, &users, fly, ledger) => Ok(reached),
                    failed = killer.keep_up() => failed.map(|never| match never {}),
                }
            };
            let reached = watched("quiet", SIGN_OF_LIFE, note, quiet).await?;
            *quiet_after = reached.then(|| calm.elapsed());
            Ok(())
        };
        tokio::select! {
            done = work => done,
            never = recovery::watch(pool.clone(), recovery, deaths) => match never {},
        }
    }
}

/// All clients at once. An early end of one would be a panic.
async fn load(callers: Vec<Caller>, end: Instant) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for caller in callers {
        clients.spawn(caller.call_until(end));
    }
    while let Some(ended) = clients.join_next().await {
        ended.context("a client has crashed")?;
    }
    Ok(())
}

/// Somewhere in the middle, where it is ours to restart.
async fn restart_once(
    database: &mut Database,
    dice: &mut StdRng,
    duration: Duration,
    outage: &mut Option<Duration>,
) -> anyhow::Result<()> {
    let Some(cluster) = database.cluster() else { return Ok(()) };
    tokio::time::sleep(duration.mul_f64(dice.random_range(0.4..0.6))).await;
    let away = Instant::now();
    cluster.crash().await?;
    tokio::time::sleep(Duration::from_millis(dice.random_range(DOWN))).await;
    cluster.start_again().await?;
    *outage = Some(away.elapsed());
    Ok(())
}

/// Whether nothing is in flight any more and every row has caught up with the world, on two looks in a row, before our
/// patience is over.
async fn until_quiet(pool: &PgPool, users: &[String], fly: &FlySim, ledger: &Mutex<Ledger>) -> bool {
    let wait = async {
        let mut agreeing = 0;
        while agreeing < 2 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            agreeing = match Rows::read(pool, users).await {
                Ok(rows) if is_quiet(&rows, &World::of(fly), ledger) => agreeing + 1,
                _ => 0,
            };
        }
    };
    tokio::time::timeout(QUIET_WITHIN, wait).await.is_ok()
}

fn is_quiet(rows: &Rows, world: &World, ledger: &Mutex<Ledger>) -> bool {
    let is_idle = rows.operations.is_empty() && rows.unsettled_rigs().next().is_none() && world.is_at_rest();
    is_idle && !account::is_drifting(rows, world, &ledger.lock().unwrap_or_else(PoisonError::into_inner))
}
