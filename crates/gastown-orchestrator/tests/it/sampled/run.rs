//! Runs a schedule of steps to its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::{Caller, Clock as _, Jitter, NewRollout, RestoreTown, RolloutOrder, Towns as _};
use gastown_domain::{Drift, MaxUnavailable, OrphanReason, Percent, ResourceId, TownId, TownStatus};
use gastown_orchestrator::{Policy, RestartSync};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{sleep, timeout};

use super::answers::Answers;
use super::external_events::EventLog;
use super::figures::{Figures, left_to_sweeper};
use super::steps::{REPLICAS, Step};
use crate::bench::{Bench, Replica};
use crate::faults::Call;
use crate::names::volume_name;
use crate::world::Volume;

/// Every hang, response and late call is over after this time.
const ALL_DELAYS_OVER: Duration = Duration::from_secs(240);
/// The number of drift passes within which every row is correct. A town may have two drifts that take three agreeing
/// observations each, and one or two passes may fail.
const DRIFT_PASSES: usize = 8;
/// The number of orphan sweeper passes within which no orphan is left. The grace period of a machine is seven passes.
/// That of a volume of an unknown town is a day, at six passes an hour.
const ORPHAN_PASSES: usize = 24 * 6 + 12;
/// The passes within which a rollout ends. The last of them wait for the soak.
const ROLLOUT_PASSES: usize = 250;
/// In one run of this many, each user has an app.
const APP_PER_USER: u64 = 4;

/// Jitter from the seed.
struct SeededJitter(Mutex<StdRng>);

impl Jitter for SeededJitter {
    fn fraction(&self) -> f64 {
        self.0.lock().unwrap().random()
    }
}

/// The state of one run.
pub(super) struct Run {
    pub(super) bench: Bench,
    pub(super) replicas: Vec<Arc<Replica>>,
    pub(super) answers: Answers,
    pub(super) events: EventLog,
    pub(super) figures: Figures,
}

/// Runs the steps. Returns the violations, if there are any.
pub(super) async fn run(seed: u64, steps: &[Step]) -> Result<Figures, String> {
    let mut bench = Bench::with_jitter(Arc::new(SeededJitter(Mutex::new(StdRng::seed_from_u64(seed)))));
    if seed.is_multiple_of(APP_PER_USER) {
        bench.give_each_user_an_app();
    }
    let replicas = (0..REPLICAS).map(|_| Arc::new(bench.replica())).collect();
    let (answers, events, figures) = (Answers::default(), EventLog::default(), Figures::one());
    let mut run = Run { bench, replicas, answers, events, figures };
    for step in steps {
        run.execute(*step).await;
        run.replace_dead_replicas();
    }
    run.end().await
}

impl Run {
    async fn execute(&mut self, step: Step) {
        match step {
            Step::Request { at, user, request, waits } => self.ask(at, user, request, Duration::from_secs(waits)).await,
            Step::Kill { at } => self.replicas[at].process.kill(),
            Step::Restart { at } => self.restart(at).await,
            Step::Hang { at, seconds } => {
                self.replicas[at].process.hang(Duration::from_secs(seconds));
                self.figures.hangs += 1;
            }
            Step::Clock { at, seconds } => self.replicas[at].process.shift_clock(TimeDelta::seconds(seconds)),
            Step::FaultBurst { after, times, fault } => self.bench.fly.schedule().fitting(after, times, fault),
            Step::FaultAt { call, fault } => self.bench.fly.schedule().next(Call::Fly(call), 1, fault),
            Step::RegistryFault { after, fault } => self.bench.store.schedule().fitting(after, 1, fault),
            Step::RandomFaults { provider, registry, seed } => {
                self.bench.fly.schedule().inject_randomly(provider, seed);
                self.bench.store.schedule().inject_randomly(registry, !seed);
            }
            Step::StopFaults => self.stop_faults(),
            Step::Sweep { at } => {
                self.run_briefly(at, async |replica: &Replica| drop(replica.workers.sweep().await)).await;
            }
            Step::RestartTown { at, town } => {
                let Some(town) = self.numbered(town) else { return };
                let town = self.bench.store.town(town);
                self.run_briefly(at, async |replica: &Replica| {
                    let sync = if town.machine_id.is_some() { RestartSync::Try } else { RestartSync::Skip };
                    drop(replica.towns.restart_town((town.id, &town.owner), sync, None).await);
                })
                .await;
            }
            Step::StopIdle { at, town } => {
                let Some(town) = self.numbered(town) else { return };
                self.bench.make_idle(town);
                self.run_briefly(at, async |replica: &Replica| drop(replica.idle.pass().await)).await;
            }
            Step::OrderRollout { number } => order_rollout(&self.bench, number),
            Step::DriveRollout { at } => {
                self.run_briefly(at, async |replica: &Replica| drop(replica.rollouts.pass().await)).await;
            }
            Step::RestoreTown { at, town } => {
                let Some(request) = self.numbered(town).and_then(|town| restore_of(&self.bench, town)) else { return };
                let caller = Caller::Trusted(self.bench.store.town(request.town).owner);
                self.run_briefly(at, async |replica: &Replica| {
                    drop(replica.towns.restore_town(&caller, request.clone()).await);
                })
                .await;
            }
            Step::DetectDrift { at } => {
                self.run_briefly(at, async |replica: &Replica| drop(replica.drift_detector.pass().await)).await;
            }
            Step::SweepOrphans { at } => {
                self.run_briefly(at, async |replica: &Replica| drop(replica.orphans.pass().await)).await;
            }
            Step::ExternalEvent(event) => self.apply_event(event),
            Step::Wait { seconds } => sleep(Duration::from_secs(seconds)).await,
        }
    }

    /// Starts some work of a process, and waits for it for at most two seconds.
    async fn run_briefly(&self, at: usize, work: impl AsyncFn(&Replica)) {
        let replica = Arc::clone(&self.replicas[at]);
        let _ = timeout(Duration::from_secs(2), replica.unless_crashed(work(&replica))).await;
    }

    async fn restart(&mut self, at: usize) {
        let replica = &self.replicas[at];
        replica.stop.cancel();
        // A process that does not stop in time is killed, as a supervisor does.
        let _ = timeout(Duration::from_secs(30), replica.unless_crashed(replica.towns.drained())).await;
        self.figures.deaths += usize::from(replica.process.is_dead());
        replica.process.kill();
        self.figures.restarts += 1;
        self.replicas[at] = Arc::new(self.bench.replica());
    }

    fn replace_dead_replicas(&mut self) {
        for at in 0..self.replicas.len() {
            if self.replicas[at].process.is_dead() {
                self.figures.deaths += 1;
                self.replicas[at] = Arc::new(self.bench.replica());
            }
        }
    }

    fn stop_faults(&self) {
        self.bench.fly.schedule().stop_faults();
        self.bench.store.schedule().stop_faults();
    }

    /// Stops the faults, runs the periodic jobs, and checks everything.
    async fn end(mut self) -> Result<Figures, String> {
        self.stop_faults();
        self.end_external_events();
        sleep(ALL_DELAYS_OVER).await;
        self.figures.sweeps = self.until_quiet().await?;
        self.end_rollout().await?;
        self.until_consistent(DRIFT_PASSES, inspect).await;
        self.until_consistent(ORPHAN_PASSES, sweep_orphans).await;
        self.figures.left_to_operators = self.delete_reported_volumes();
        // A row that was corrected may have pending rigs.
        self.until_quiet().await?;
        let violations =
            [self.bench.invariant_violations(), self.bench.history_violations(), self.answers.violations()].concat();
        if !violations.is_empty() {
            return Err(violations.join("\n"));
        }
        self.figures.events = std::mem::take(&mut self.events.counts);
        self.figures.keys_refused = self.answers.keys_refused();
        self.figures.count(&self.bench);
        let left = self.unexplained_leftovers();
        if !left.is_empty() {
            return Err(format!("unexplained resources left to the orphan sweeper: {left:?}"));
        }
        Ok(self.figures)
    }

    /// Drives the rollout to its end. Its operator resumes it after failures.
    async fn end_rollout(&mut self) -> Result<(), String> {
        for _ in 0..ROLLOUT_PASSES {
            let newest = self.bench.store.rows().rollouts.all.last().cloned();
            let Some(newest) = newest.filter(|newest| newest.state.is_active()) else {
                self.figures.rollouts(&self.bench);
                return Ok(());
            };
            if !newest.state.is_driven() {
                self.bench.store.rows().order_rollout(RolloutOrder::Resume);
            }
            sleep(Duration::from_secs(11)).await;
            let replica = self.bench.replica();
            let _ = replica.rollouts.pass().await;
            // A pass may have accepted restarts, which a sweep drives.
            self.until_quiet().await?;
        }
        Err(format!("the rollout does not end: {:?}", self.bench.store.rows().rollouts.all.last()))
    }

    /// Returns the resources of accepted towns that the orphan sweeper had to delete without one of four reasons.
    ///
    /// - The operation row of the town was deleted by hand.
    /// - Lists hid the town's volumes for too long. This explains volumes only.
    /// - Fly moved the volume of a town that was destroyed. The row named the old one. If no list shows the new one in time,
    ///   nothing leads to it. This explains volumes only.
    /// - A process hung between its last registry call and a create, and the response was lost too. The create was then
    ///   applied to a destroyed town.
    fn unexplained_leftovers(&self) -> Vec<(ResourceId, TownId)> {
        let (hidden, was_hung) = (self.hidden_from_lists(), self.was_hung());
        let is_explained = |thing: &ResourceId, town: &TownId| {
            let hidden_by_lists = matches!(thing, ResourceId::Volume(_)) && hidden.contains(town);
            let was_moved = matches!(thing, ResourceId::Volume(_)) && self.events.moved_volumes.contains(town);
            hidden_by_lists
                || was_moved
                || self.events.lost_operations.contains(town)
                || (was_hung && self.was_created_after_fencing(thing, *town))
        };
        left_to_sweeper(&self.bench).into_iter().filter(|(thing, town)| !is_explained(thing, town)).collect()
    }

    /// Returns true if a process hung for long enough to lose a claim.
    fn was_hung(&self) -> bool {
        self.figures.hangs > 0 || self.bench.all_injected_faults().iter().any(|injected| injected.fault.hangs())
    }

    /// Returns true if it was created more than a lease after the soft-delete, when no process held a claim.
    fn was_created_after_fencing(&self, thing: &ResourceId, town: TownId) -> bool {
        let (rows, world) = (self.bench.store.rows(), self.bench.fly.world());
        let made_at = match thing {
            ResourceId::Machine(id) => {
                world.machines.iter().find(|machine| machine.id == *id).map(|machine| machine.made_at)
            }
            ResourceId::Volume(id) => world.volumes.iter().find(|volume| volume.id == *id).map(|volume| volume.made_at),
        };
        let lease = Policy::production().timeouts.lease;
        made_at.zip(rows.soft_deleted.get(&town)).is_some_and(|(made_at, soft_deleted)| made_at > *soft_deleted + lease)
    }

    /// Deletes the second, empty volumes that an operator would delete.
    ///
    /// They have one of two causes, which no process can detect at the time. Lists hid the volumes after a lost
    /// response, in more consecutive lists than must agree. Or a process hung right at a create for longer than its
    /// lease, and died before it could clean up.
    ///
    /// No pass deletes such a volume, because it may hold data. The orphan records report it.
    fn delete_reported_volumes(&self) -> usize {
        // Each process that died may have left one.
        let mut left_by_crashes = if self.was_hung() { self.figures.deaths } else { 0 };
        let hidden: Vec<_> = self.hidden_from_lists().into_iter().map(volume_name).collect();
        let (rows, mut world) = (self.bench.store.rows(), self.bench.fly.world());
        let reported = |volume: &Volume| {
            let thing = ResourceId::Volume(volume.id.clone());
            rows.records.orphans.values().any(|it| it.resource == thing && it.reason == OrphanReason::Second)
        };
        let mut cleared = 0;
        for volume in world.volumes.iter_mut().filter(|it| !it.gone && !it.used && it.held_by.is_none() && reported(it))
        {
            if !hidden.contains(&volume.name) {
                let Some(fewer) = left_by_crashes.checked_sub(1) else { continue };
                left_by_crashes = fewer;
            }
            volume.gone = true;
            cleared += 1;
        }
        cleared
    }

    /// Returns the towns whose volumes were hidden in more consecutive lists than must agree.
    fn hidden_from_lists(&self) -> BTreeSet<TownId> {
        self.bench.fly.world().hidden_in_more_lists_than(usize::from(Policy::production().limits.agreeing_observations))
    }

    /// Sweeps until everything is quiet, and returns the number of sweeps. Drift passes run meanwhile, because the rigs
    /// of a stopped town whose row says otherwise are only reconciled once the row is corrected.
    async fn until_quiet(&self) -> Result<usize, String> {
        let sweeps = tokio::select! {
            biased;
            sweeps = self.bench.until_quiet() => sweeps,
            () = async { loop { inspect(&self.bench.replica()).await } } => None,
        };
        sweeps.ok_or_else(|| format!("not quiet: {:?}", self.bench.store.rows().operations))
    }

    async fn until_consistent(&self, passes: usize, pass: impl AsyncFn(&Replica)) {
        for _ in 0..passes {
            if self.bench.invariant_violations().is_empty() {
                return;
            }
            pass(&self.bench.replica()).await;
        }
    }
}

/// Changes the rollout as an operator does: starts one, pauses, resumes or undoes it.
fn order_rollout(bench: &Bench, number: usize) {
    let mut rows = bench.store.rows();
    let at = bench.store.clock.now();
    // Every rollout has an image of its own, so that each can be undone.
    let image = format!("registry.fly.io/gastown:{}", 2 + rows.rollouts.all.len()).parse().unwrap();
    let new = NewRollout {
        image,
        percent: Percent::ALL,
        only_stopped: number.is_multiple_of(5),
        max_unavailable: MaxUnavailable::try_from(1 + number as u64 % 2).unwrap(),
        replace: true,
    };
    match number % 4 {
        0 | 1 => drop(rows.start_rollout(&new, at)),
        2 => drop(rows.order_rollout(RolloutOrder::Undo)),
        _ if number.is_multiple_of(3) => drop(rows.order_rollout(RolloutOrder::Resume)),
        _ => drop(rows.order_rollout(RolloutOrder::Pause)),
    }
}

/// Returns the request to restore a town whose volume is lost, and records the loss as drift checks do. Returns `None` for
/// any other town.
fn restore_of(bench: &Bench, town: TownId) -> Option<RestoreTown> {
    let (now, world, mut rows) = (bench.store.clock.now(), bench.fly.world(), bench.store.rows());
    let row = rows.towns.get(&town).filter(|row| !row.is_tombstone() && row.status != TownStatus::Provisioning)?;
    let is_lost = world.lost_volumes.contains(&volume_name(town)) && world.volumes_of(town).is_empty();
    let request =
        (is_lost && !rows.operations.contains_key(&town)).then(|| RestoreTown { town, confirm: row.name.clone() })?;
    rows.records.health.entry(town).or_default().drift = Some((Drift::VolumeLost.into(), now));
    Some(request)
}

/// Runs one drift pass, one period after the last one.
async fn inspect(replica: &Replica) {
    sleep(Duration::from_secs(61)).await;
    let _ = replica.drift_detector.pass().await;
}

/// Runs one orphan sweeper pass, one period after the last one.
async fn sweep_orphans(replica: &Replica) {
    sleep(Duration::from_secs(601)).await;
    let _ = replica.orphans.pass().await;
}
