//! The test bench of a scenario, and the recovery after it.

use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{Action, AddRig, Clock as _, CreateTown, DestroyTown, RemoveRig, RestoreTown, Towns as _};
use gastown_domain::{Drift, FirstRig, RigId, TownId, TownStatus};
use gastown_orchestrator::Grace;
use tokio::time::{Instant, sleep};

use super::case::Case;
use super::rolling_out::finish_rollout;
use super::scenario::Scenario;
use crate::bench::{Bench, Replica, alice, engine, request};
use crate::faults::{Call, Fault};
use crate::invariants::OPERATOR;
use crate::world::{Phase, RELEASE};

/// The number of drift passes within which a row is correct again: three observations that agree, after one failed
/// pass.
const DRIFT_PASSES: usize = 4;
/// The number of orphan sweeper passes within which an orphan is gone. The grace period is seven passes long. Then the
/// machine and the volume are deleted one after the other, and the record is closed.
const ORPHAN_PASSES: usize = 12;

/// How long after its setup an orphan is created. Its age at the first pass is a period less this.
const CREATED_LATER_BY: Duration = Duration::from_secs(500);

/// The test bench of a scenario.
pub(super) struct Fixture {
    pub(super) scenario: Scenario,
    pub(super) bench: Bench,
    pub(super) town: Option<TownId>,
    pub(super) rig: Option<RigId>,
}

impl Fixture {
    pub(super) fn town(&self) -> TownId {
        self.town.unwrap()
    }

    /// Runs the periodic jobs of other processes until everything is quiet. Returns the number of sweeps.
    pub(super) async fn recover(&self, case: &Case) -> usize {
        let sweeps = self.bench.recover_in(&case.to_string()).await;
        match self.scenario {
            Scenario::DriftMachineStopped
            | Scenario::DriftMachineMissing
            | Scenario::DriftMachineReplaced
            | Scenario::DriftVolumeMoved => {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            // Drift detection records a lost volume, and a missing machine if no stop was accepted.
            Scenario::DriftVolumeLost | Scenario::StartWithoutVolume | Scenario::StopWithoutMachine => {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            // If no restart was accepted, drift detection records the stopped machine, and then the lost volume.
            Scenario::RestartWithoutVolume | Scenario::RestartWithNewMachine => {
                self.until_consistent(2 * DRIFT_PASSES, run_drift_detector).await;
            }
            // If no restore was accepted, drift detection sees that nothing is lost.
            Scenario::RestoreFound => self.until_consistent(DRIFT_PASSES, run_drift_detector).await,
            // A stop that is applied late stops the machine again while its sandbox is waited for.
            Scenario::RestartUnhealthy => self.until_consistent(DRIFT_PASSES, run_drift_detector).await,
            // A process that hangs right at the call starts or stops a machine that another process has stopped or started by then. Fly
            // knows no claims.
            Scenario::StartUnhealthy
            | Scenario::Restart
            | Scenario::StopRestarting
            | Scenario::StartStoppingIdle
            | Scenario::AddRigStoppingIdle
                if case.hangs_at_fly() =>
            {
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            Scenario::Rollout | Scenario::UndoRollout | Scenario::StopRollingOut => {
                finish_rollout(&self.bench).await;
                self.until_consistent(DRIFT_PASSES, run_drift_detector).await;
            }
            Scenario::SweepOrphans | Scenario::SweepIncompleteLists => {
                self.until_consistent(ORPHAN_PASSES, run_orphan_sweeper).await;
            }
            Scenario::SweepSecondMachine => {
                // Only the operator would delete it.
                self.until_consistent(1, async |replica| delete_as_operator(replica).await).await;
                self.until_consistent(ORPHAN_PASSES, run_orphan_sweeper).await;
            }
            _ => {}
        }
        sweeps
    }

    async fn until_consistent(&self, passes: usize, pass: impl AsyncFn(&Replica)) {
        for _ in 0..passes {
            if self.bench.invariant_violations().is_empty() && self.bench.store.rows().records.orphans.is_empty() {
                return;
            }
            pass(&self.bench.replica()).await;
        }
    }

    /// Removes the machine of a stopped town at Fly and in its row.
    pub(super) async fn remove_machine(&self) {
        self.bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
        self.bench.store.rows().towns.get_mut(&self.town()).unwrap().machine_id = None;
        sleep(RELEASE).await;
    }

    /// Records that the volume is lost, as drift checks do.
    pub(super) fn record_loss(&self) {
        let (now, mut rows) = (self.bench.store.clock.now(), self.bench.store.rows());
        rows.records.health.entry(self.town()).or_default().drift = Some((Drift::VolumeLost.into(), now));
    }

    /// Loses the volume, records that, and sets up what is particular to the scenario.
    pub(super) fn lose_volume(&self, scenario: Scenario) {
        let mut world = self.bench.fly.world();
        assert!(world.lose_volume(self.town()));
        match scenario {
            Scenario::RestoreInSecondRegion => drop(world.full_regions.insert("iad".parse().unwrap())),
            Scenario::RestoreRefused => world.machines_refused = true,
            Scenario::RestoreNothing => world.images_cannot_restore = true,
            _ => {}
        }
        drop(world);
        self.record_loss();
    }

    /// Returns the owner's request for a restore.
    pub(super) fn restore(&self) -> RestoreTown {
        RestoreTown { town: self.town(), confirm: "mill".parse().unwrap() }
    }

    /// Loses the response of the volume create, and makes the next lists agree that there is no volume.
    pub(super) fn lose_answer(&self) {
        let mut schedule = self.bench.fly.schedule();
        schedule.next(Call::Fly(Action::CreateVolume), 1, Fault::ReplyLost);
        schedule.next(Call::Fly(Action::ListVolumes), 4, Fault::EmptyList);
    }

    /// Adds orphans of a destroyed town. The list takes longer than the renewal interval of a lease.
    pub(super) async fn add_orphans(&self) {
        let towns = self.bench.replica().towns;
        let barn = towns.create_town(&alice(), request("barn")).await.unwrap().town.id;
        towns.destroy_town(&alice(), DestroyTown::until_gone(barn)).await.unwrap();
        // The first pass sees them as so recently created that their age matters longer than their grace period.
        self.bench.fly.world().add_orphans(barn, Instant::now() + CREATED_LATER_BY);
        self.bench.fly.schedule().next(Call::Fly(Action::ListMachines), 1, Fault::Slow);
    }

    /// Leaves two rigs to add, one of which the sandbox refuses, and one to remove. The sandbox was unreachable.
    pub(super) async fn leave_rigs_pending(&self) {
        let towns = self.bench.replica().towns;
        let old = towns.add_rig(&alice(), rig(self.town(), "old")).await.unwrap().rig;
        self.bench.fly.world().refused_rigs.insert("refused".to_owned());
        for (call, times) in [(Call::AddRig, 2), (Call::RemoveRig, 1)] {
            self.bench.fly.schedule().next(call, times, Fault::NotSent);
        }
        for name in ["new", "refused"] {
            towns.add_rig(&alice(), rig(self.town(), name)).await.unwrap();
        }
        let removal = RemoveRig { town: self.town(), rig: old.id, force: false };
        towns.remove_rig(&alice(), removal).await.unwrap();
    }

    /// Soft-deletes the town by hand, bypassing the service.
    pub(super) fn soft_delete_by_hand(&self) {
        let (town, mut rows) = (self.town(), self.bench.store.rows());
        let row = rows.towns.get_mut(&town).unwrap();
        (row.destroyed_at, row.status) = (Some(row.created_at), TownStatus::Destroyed);
        row.sandbox_id = row.sandbox_id.tombstone(town);
        rows.soft_deleted.insert(town, Instant::now());
    }
}

/// Runs one drift pass, one period after the last one.
pub(super) async fn run_drift_detector(replica: &Replica) {
    sleep(Duration::from_secs(61)).await;
    attempt(replica, replica.drift_detector.pass()).await;
}

/// Runs one orphan sweeper pass, one period after the last one.
pub(super) async fn run_orphan_sweeper(replica: &Replica) {
    sleep(Duration::from_secs(601)).await;
    attempt(replica, replica.orphans.pass()).await;
}

pub(super) async fn attempt<T>(replica: &Replica, call: impl Future<Output = T>) {
    let _ = replica.unless_crashed(call).await;
}

pub(super) fn keyed() -> CreateTown {
    CreateTown { key: Some("once".parse().unwrap()), ..request("mill") }
}

pub(super) fn with_rig() -> CreateTown {
    let mut request = request("mill");
    let repo_url = "https://github.com/acme/engine".parse().unwrap();
    request.config.rigs =
        vec![FirstRig { rig_name: "engine".parse().unwrap(), repo_url, branch: Some("main".parse().unwrap()) }];
    request
}

pub(super) fn rig(town: TownId, name: &str) -> AddRig {
    AddRig { name: name.parse().unwrap(), ..engine(town) }
}

/// Deletes every second machine of a survey as an operator, without a grace period.
pub(super) async fn delete_as_operator(replica: &Replica) {
    let delete = async {
        let Ok(survey) = replica.orphans.survey(Grace::NONE).await else { return };
        for found in survey.orphans {
            let _ = replica.orphans.delete(&found.sighting, OPERATOR).await;
        }
    };
    attempt(replica, delete).await;
}

/// Waits for this call to Fly and returns the town. Returns `None` if the call is never made.
pub(super) async fn wait_for_call(bench: &Bench, call: Action) -> Option<TownId> {
    for _ in 0..2000 {
        if bench.fly.count(call) > 0 {
            return bench.store.rows().towns.keys().next().copied();
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Creates a town whose process dies after the machine create, before it records the machine.
pub(super) async fn abandoned_create(bench: &Bench, request: CreateTown) -> TownId {
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    attempt(&replica, replica.towns.create_town(&alice(), request)).await;
    sleep(Duration::from_secs(60)).await;
    bench.only_town()
}
