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
use super::figures::{Figures, left_to_the_sweeper};
use super::mischief::Events;
use super::moves::{Move, REPLICAS};
use crate::bench::{Bench, Replica};
use crate::faults::Call;
use crate::world::Volume;

/// Everything that stands still, waits for an answer or is sent late has gone on by then.
const ALL_GO_ON: Duration = Duration::from_secs(240);
/// Passes of the inspector within which every row tells the truth: three looks that agree, for each of two things that are
/// untrue of one town, and one or two that come to nothing.
const INSPECTIONS: usize = 8;
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
pub(super) struct Play {
    pub(super) bench: Bench,
    pub(super) replicas: Vec<Arc<Replica>>,
    pub(super) answers: Answers,
    pub(super) events: Events,
    pub(super) figures: Figures,
}

/// Plays the moves; answers what is wrong in the end, if anything is.
pub(super) async fn play(seed: u64, moves: &[Move]) -> Result<Figures, String> {
    let mut bench = Bench::with_dice(Arc::new(SeededJitter(Mutex::new(StdRng::seed_from_u64(seed)))));
    if seed.is_multiple_of(APP_PER_USER) {
        bench.give_each_user_an_app();
    }
    let replicas = (0..REPLICAS).map(|_| Arc::new(bench.replica())).collect();
    let (answers, events, figures) = (Answers::default(), Events::default(), Figures::one());
    let mut play = Play { bench, replicas, answers, events, figures };
    for step in moves {
        play.make(*step).await;
        play.replace_the_dead();
    }
    play.end().await
}

impl Play {
    async fn make(&mut self, step: Move) {
        match step {
            Move::Ask { at, user, wish, waits } => self.ask(at, user, wish, Duration::from_secs(waits)).await,
            Move::Kill { at } => self.replicas[at].process.kill(),
            Move::Restart { at } => self.restart(at).await,
            Move::Hang { at, seconds } => {
                self.replicas[at].process.hang(Duration::from_secs(seconds));
                self.figures.hangs += 1;
            }
            Move::Clock { at, seconds } => self.replicas[at].process.jump(TimeDelta::seconds(seconds)),
            Move::Trouble { after, times, fault } => self.bench.fly.schedule().fitting(after, times, fault),
            Move::TroubleAt { call, fault } => self.bench.fly.schedule().next(Call::Fly(call), 1, fault),
            Move::RegistryTrouble { after, fault } => self.bench.store.schedule().fitting(after, 1, fault),
            Move::Weather { provider, registry, seed } => {
                self.bench.fly.schedule().weather(provider, seed);
                self.bench.store.schedule().weather(registry, !seed);
            }
            Move::Calm => self.calm(),
            Move::Sweep { at } => {
                self.let_it(at, async |replica: &Replica| drop(replica.workers.sweep().await)).await;
            }
            Move::Inspect { at } => {
                self.let_it(at, async |replica: &Replica| drop(replica.drift_detector.pass().await)).await;
            }
            Move::SearchOrphans { at } => {
                self.let_it(at, async |replica: &Replica| drop(replica.orphans.pass().await)).await;
            }
            Move::Mischief(mischief) => self.befall(mischief),
            Move::Wait { seconds } => sleep(Duration::from_secs(seconds)).await,
        }
    }

    /// Lets a process begin something, and does not wait for more than a moment.
    async fn let_it(&self, at: usize, work: impl AsyncFn(&Replica)) {
        let replica = Arc::clone(&self.replicas[at]);
        let _ = timeout(Duration::from_secs(2), replica.survives(work(&replica))).await;
    }

    async fn restart(&mut self, at: usize) {
        let replica = &self.replicas[at];
        replica.stop.cancel();
        // Who does not end in time is killed, as a supervisor does.
        let _ = timeout(Duration::from_secs(30), replica.survives(replica.towns.drained())).await;
        self.figures.deaths += usize::from(replica.process.is_dead());
        replica.process.kill();
        self.figures.restarts += 1;
        self.replicas[at] = Arc::new(self.bench.replica());
    }

    fn replace_the_dead(&mut self) {
        for at in 0..self.replicas.len() {
            if self.replicas[at].process.is_dead() {
                self.figures.deaths += 1;
                self.replicas[at] = Arc::new(self.bench.replica());
            }
        }
    }

    fn calm(&self) {
        self.bench.fly.schedule().calm();
        self.bench.store.schedule().calm();
    }

    /// Nothing strikes any more; what goes on without anybody asking goes on, and then all must be well.
    async fn end(mut self) -> Result<Figures, String> {
        self.calm();
        self.end_mischief();
        sleep(ALL_GO_ON).await;
        self.figures.sweeps = self.until_quiet().await?;
        self.until_true(INSPECTIONS, inspect).await;
        self.until_true(ORPHAN_PASSES, search_orphans).await;
        self.figures.left_to_operators = self.clear_what_is_reported();
        // A row that was told the truth may have rigs to be settled.
        self.until_quiet().await?;
        let wrong = [self.bench.broken_invariants(), self.bench.broken_promises(), self.answers.wrong()].concat();
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        self.figures.events = std::mem::take(&mut self.events.counts);
        self.figures.keys_refused = self.answers.keys_refused();
        self.figures.count(&self.bench);
        let left = self.left_without_excuse();
        if !left.is_empty() {
            return Err(format!("left to the orphan sweeper: {left:?}"));
        }
        Ok(self.figures)
    }

    /// What the orphan sweeper had to delete of towns that were ours, and no excuse fits. Whose operation somebody deleted may
    /// have anything left; of whose volumes lists showed nothing for too long, volumes; and a process that stood still between
    /// its last word to the registry and a create, what it then made for a town that was long destroyed, where the answer got
    /// lost too.
    fn left_without_excuse(&self) -> Vec<(ResourceId, TownId)> {
        let (hidden, stood_still) = (self.hidden_for_too_long(), self.stood_still());
        let is_excused = |thing: &ResourceId, town: &TownId| {
            let lists_hid_it = matches!(thing, ResourceId::Volume(_)) && hidden.contains(town);
            lists_hid_it || self.events.forgotten.contains(town) || (stood_still && self.was_made_late(thing, *town))
        };
        left_to_the_sweeper(&self.bench).into_iter().filter(|(thing, town)| !is_excused(thing, town)).collect()
    }

    /// Whether anything that hung would have lost its claim.
    fn stood_still(&self) -> bool {
        self.figures.hangs > 0 || self.bench.all_hits().iter().any(|hit| hit.fault.hangs())
    }

    /// Longer than a lease after its town was hidden: nobody who held a claim asked for it.
    fn was_made_late(&self, thing: &ResourceId, town: TownId) -> bool {
        let (rows, world) = (self.bench.store.rows(), self.bench.fly.world());
        let made_at = match thing {
            ResourceId::Machine(id) => {
                world.machines.iter().find(|machine| machine.id == *id).map(|machine| machine.made_at)
            }
            ResourceId::Volume(id) => world.volumes.iter().find(|volume| volume.id == *id).map(|volume| volume.made_at),
        };
        let lease = Policy::production().lease;
        made_at.zip(rows.hidden.get(&town)).is_some_and(|(made_at, hidden)| made_at > *hidden + lease)
    }

    /// Two things nobody can tell apart from what is well while they last: lists of volumes that one after the other show
    /// nothing, more often than looks must agree, after an answer that got lost; and a process that stands still right at a
    /// create, longer than its lease, and dies before it can take back what it made. Each may leave a second, empty volume,
    /// which no pass deletes, for it might hold data; the book of orphans says so, and an operator clears it away.
    fn clear_what_is_reported(&self) -> usize {
        // Each process that died may have left one.
        let mut left_by_the_dead = if self.stood_still() { self.figures.deaths } else { 0 };
        let hidden: Vec<_> = self.hidden_for_too_long().into_iter().map(TownId::volume_name).collect();
        let (rows, mut world) = (self.bench.store.rows(), self.bench.fly.world());
        let reported = |volume: &Volume| {
            let thing = ResourceId::Volume(volume.id.clone());
            rows.books.orphans.values().any(|it| it.resource == thing && it.reason == OrphanReason::Second)
        };
        let mut cleared = 0;
        for volume in world.volumes.iter_mut().filter(|it| !it.gone && !it.used && it.held_by.is_none() && reported(it))
        {
            if !hidden.contains(&volume.name) {
                let Some(fewer) = left_by_the_dead.checked_sub(1) else { continue };
                left_by_the_dead = fewer;
            }
            volume.gone = true;
            cleared += 1;
        }
        cleared
    }

    /// Towns whose volumes lists hid more often in a row than looks must agree.
    fn hidden_for_too_long(&self) -> BTreeSet<TownId> {
        self.bench.fly.world().hidden_for_longer_than(usize::from(Policy::production().agreeing_observations))
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

    async fn until_true(&self, passes: usize, pass: impl AsyncFn(&Replica)) {
        for _ in 0..passes {
            if self.bench.broken_invariants().is_empty() {
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
async fn search_orphans(replica: &Replica) {
    sleep(Duration::from_secs(601)).await;
    let _ = replica.orphans.pass().await;
}
