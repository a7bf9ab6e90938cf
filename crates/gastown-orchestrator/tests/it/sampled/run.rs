//! A schedule of moves, played to its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::Jitter;
use gastown_domain::{OrphanReason, ResourceId, TownId};
use gastown_orchestrator::Policy;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{sleep, timeout};

use super::answers::Answers;
use super::external_events::EventLog;
use super::figures::{Figures, left_to_sweeper};
use super::steps::{REPLICAS, Step};
use crate::bench::{Bench, Replica};
use crate::faults::Call;
use crate::world::Volume;

/// Everything that stands still, waits for an answer or is sent late has gone on by then.
const ALL_DELAYS_OVER: Duration = Duration::from_secs(240);
/// Passes of the inspector within which every row tells the truth: three looks that agree, for each of two things that are
/// untrue of one town, and one or two that come to nothing.
const DRIFT_PASSES: usize = 8;
/// Passes of the orphan sweeper within which nothing is left of what belongs to nobody: the grace of a machine is
/// seven passes long, that of a volume of a town that never was a day, six passes an hour.
const ORPHAN_PASSES: usize = 24 * 6 + 12;
/// In every so manieth play each user has an app.
const APP_PER_USER: u64 = 4;

/// Jitter from the seed.
struct SeededJitter(Mutex<StdRng>);

impl Jitter for SeededJitter {
    fn fraction(&self) -> f64 {
        self.0.lock().unwrap().random()
    }
}

/// One play.
pub(super) struct Run {
    pub(super) bench: Bench,
    pub(super) replicas: Vec<Arc<Replica>>,
    pub(super) answers: Answers,
    pub(super) events: EventLog,
    pub(super) figures: Figures,
}

/// Plays the moves; answers what is wrong in the end, if anything is.
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

    /// Lets a process begin something, and does not wait for more than a moment.
    async fn run_briefly(&self, at: usize, work: impl AsyncFn(&Replica)) {
        let replica = Arc::clone(&self.replicas[at]);
        let _ = timeout(Duration::from_secs(2), replica.unless_crashed(work(&replica))).await;
    }

    async fn restart(&mut self, at: usize) {
        let replica = &self.replicas[at];
        replica.stop.cancel();
        // Who does not end in time is killed, as a supervisor does.
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

    /// Nothing strikes any more; what goes on without anybody asking goes on, and then all must be well.
    async fn end(mut self) -> Result<Figures, String> {
        self.stop_faults();
        self.end_external_events();
        sleep(ALL_DELAYS_OVER).await;
        self.figures.sweeps = self.until_quiet().await?;
        self.until_consistent(DRIFT_PASSES, inspect).await;
        self.until_consistent(ORPHAN_PASSES, sweep_orphans).await;
        self.figures.left_to_operators = self.delete_reported_volumes();
        // A row that was told the truth may have rigs to be settled.
        self.until_quiet().await?;
        let wrong = [self.bench.invariant_violations(), self.bench.history_violations(), self.answers.wrong()].concat();
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        self.figures.events = std::mem::take(&mut self.events.counts);
        self.figures.keys_refused = self.answers.keys_refused();
        self.figures.count(&self.bench);
        let left = self.unexplained_leftovers();
        if !left.is_empty() {
            return Err(format!("left to the orphan sweeper: {left:?}"));
        }
        Ok(self.figures)
    }

    /// What the orphan sweeper had to delete of towns that were ours, and no excuse fits. Whose operation somebody deleted may
    /// have anything left; of whose volumes lists showed nothing for too long, volumes; and a process that stood still between
    /// its last word to the registry and a create, what it then made for a town that was long destroyed, where the answer got
    /// lost too.
    fn unexplained_leftovers(&self) -> Vec<(ResourceId, TownId)> {
        let (hidden, was_hung) = (self.hidden_from_lists(), self.was_hung());
        let is_explained = |thing: &ResourceId, town: &TownId| {
            let hidden_by_lists = matches!(thing, ResourceId::Volume(_)) && hidden.contains(town);
            hidden_by_lists
                || self.events.lost_operations.contains(town)
                || (was_hung && self.was_created_after_fencing(thing, *town))
        };
        left_to_sweeper(&self.bench).into_iter().filter(|(thing, town)| !is_explained(thing, town)).collect()
    }

    /// Whether anything that hung would have lost its claim.
    fn was_hung(&self) -> bool {
        self.figures.hangs > 0 || self.bench.all_injected_faults().iter().any(|injected| injected.fault.hangs())
    }

    /// Longer than a lease after its town was hidden: nobody who held a claim asked for it.
    fn was_created_after_fencing(&self, thing: &ResourceId, town: TownId) -> bool {
        let (rows, world) = (self.bench.store.rows(), self.bench.fly.world());
        let made_at = match thing {
            ResourceId::Machine(id) => {
                world.machines.iter().find(|machine| machine.id == *id).map(|machine| machine.made_at)
            }
            ResourceId::Volume(id) => world.volumes.iter().find(|volume| volume.id == *id).map(|volume| volume.made_at),
        };
        let lease = Policy::production().lease;
        made_at.zip(rows.soft_deleted.get(&town)).is_some_and(|(made_at, hidden)| made_at > *hidden + lease)
    }

    /// Two things nobody can tell apart from what is well while they last: lists of volumes that one after the other show
    /// nothing, more often than looks must agree, after an answer that got lost; and a process that stands still right at a
    /// create, longer than its lease, and dies before it can take back what it made. Each may leave a second, empty volume,
    /// which no pass deletes, for it might hold data; the book of orphans says so, and an operator clears it away.
    fn delete_reported_volumes(&self) -> usize {
        // Each process that died may have left one.
        let mut left_by_crashes = if self.was_hung() { self.figures.deaths } else { 0 };
        let hidden: Vec<_> = self.hidden_from_lists().into_iter().map(TownId::volume_name).collect();
        let (rows, mut world) = (self.bench.store.rows(), self.bench.fly.world());
        let reported = |volume: &Volume| {
            let thing = ResourceId::Volume(volume.id.clone());
            rows.records.orphans.values().any(|it| it.thing == thing && it.reason == OrphanReason::Second)
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

    /// Towns whose volumes lists hid more often in a row than looks must agree.
    fn hidden_from_lists(&self) -> BTreeSet<TownId> {
        self.bench.fly.world().hidden_in_more_lists_than(usize::from(Policy::production().agreeing_observations))
    }

    /// Answers after how many sweeps. Rigs of a town that is off, unlike its row, are settled once its row was told.
    async fn until_quiet(&self) -> Result<usize, String> {
        let sweeps = tokio::select! {
            biased;
            sweeps = self.bench.until_quiet() => sweeps,
            () = async { loop { inspect(&self.bench.replica()).await } } => None,
        };
        sweeps.ok_or_else(|| format!("never quiet: {:?}", self.bench.store.rows().operations))
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

/// A pass of the inspector, a period after whatever was before.
async fn inspect(replica: &Replica) {
    sleep(Duration::from_secs(61)).await;
    let _ = replica.drift_detector.pass().await;
}

/// A pass of the orphan sweeper, a period after whatever was before.
async fn sweep_orphans(replica: &Replica) {
    sleep(Duration::from_secs(601)).await;
    let _ = replica.orphans.pass().await;
}
