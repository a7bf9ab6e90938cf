//! The scenarios: every operation from every relevant state, and the periodic jobs.

use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{
    Action, DestroyTown, EventPage, HomeCalls as _, RemoveRig, RolloutOrder, TownPage, Towns as _, UpdateTown,
};
use gastown_domain::{Change, ConfigPatch, RigId, SandboxReport, TownConfig, TownId};
use gastown_orchestrator::RestartSync;
use tokio::time::Instant;

use super::fixture::{
    Fixture, abandoned_create, attempt, delete_as_operator, keyed, rig, run_drift_detector, run_orphan_sweeper,
    wait_for_call, with_rig,
};
use super::rolling_out::{new_image, roll_out, start_rollout, until_still};
use crate::bench::{Bench, Replica, alice, request};
use crate::faults::listed;
use crate::world::Phase;

/// A short timeout for what never succeeds. A longer one would only repeat the same observations.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the grace period of orphans. The pass after it reads complete lists.
const LISTS_INCOMPLETE_FOR: Duration = Duration::from_secs(5000);

listed! {
    /// A scenario, into whose every call faults are injected.
    Scenario {
        Create,
        /// Creates a town with a first rig.
        CreateWithRig,
        /// Repeats a finished create with the same idempotency key.
        RepeatCreate,
        /// Repeats a create whose process has died. The caller waits until workers have taken it over.
        RepeatCreateAfterCrash,
        /// The first region has no capacity for machines.
        CreateInSecondRegion,
        /// The response of the volume create is lost, and lists do not show the volume.
        CreateWithSurplusVolume,
        /// Fly refuses the machine permanently, and the create is rolled back.
        RollBack,
        /// The machine is created and fails at boot, and the create is rolled back.
        RollBackMachine,
        /// The machine runs, and its sandbox never becomes healthy. The create is rolled back at the deadline.
        RollBackUnhealthy,
        Start,
        /// The sandbox does not become healthy, and the start becomes a stop at the deadline.
        StartUnhealthy,
        /// The stopped town's volume is lost, and the start is refused.
        StartWithoutVolume,
        /// Starts a stopped town after a rig was added to it.
        StartWithNewRig,
        /// The stopped town's machine is gone, and the start creates another one on its volume.
        StartWithNewMachine,
        StartRunning,
        /// Restarts the machine of a running town.
        Restart,
        /// The sandbox stays unhealthy, and the restart fails at its deadline.
        RestartUnhealthy,
        /// The running town's volume is lost, and the restart ends with a stopped town.
        RestartWithoutVolume,
        /// The running town's machine is gone, and the restart creates another one on its volume.
        RestartWithNewMachine,
        /// A rollout brings a new image to a running town.
        Rollout,
        /// The sandbox of the new image stays unhealthy, and an operator undoes the rollout.
        UndoRollout,
        /// The owner stops the town while a rollout restarts it.
        StopRollingOut,
        /// Restores a stopped town whose volume is lost.
        Restore,
        /// The first region has no capacity for machines.
        RestoreInSecondRegion,
        /// Fly refuses the machine permanently, and the restore is undone.
        RestoreRefused,
        /// The sandbox is healthy and has restored nothing, so the restore is undone.
        RestoreNothing,
        /// The volume is recorded as lost, and exists.
        RestoreFound,
        Stop,
        /// The running town's machine is gone.
        StopWithoutMachine,
        /// Stops a town that is idle.
        StopIdle,
        /// A start that pre-empts an idle stop, before and after it stops the machine.
        StartBeforeIdleStop,
        StartStoppingIdle,
        /// Adds a rig to a town whose idle stop is in flight, or has ended.
        AddRigStoppingIdle,
        AddRigStoppedIdle,
        Destroy,
        DestroyStopped,
        /// A stop that pre-empts a restart.
        StopRestarting,
        /// A destroy that pre-empts a create, a start, a stop, a restart or a restore.
        DestroyCreating,
        DestroyStarting,
        DestroyStopping,
        DestroyRestarting,
        DestroyRestoring,
        AddRig,
        RemoveRig,
        /// Removes a rig that is in use.
        RemoveRigByForce,
        /// Workers add and remove rigs that could not be changed at the time of the request.
        ReconcileRigs,
        /// The read calls of the owner, and the calls of the sandbox.
        Read,
        /// The process that creates a town shuts down gracefully, and another one continues.
        ShutDown,
        /// The process that created a town is dead, and workers take over.
        TakeOver,
        /// A tombstone without an operation still has its machine. Workers reinstate its removal.
        Reinstate,
        /// An external change stopped the machine of a running town. The drift detector updates the row.
        DriftMachineStopped,
        /// The running town's machine is gone, was replaced, or mounts a volume that Fly moved. The stopped town's
        /// volume is lost.
        DriftMachineMissing,
        DriftMachineReplaced,
        DriftVolumeMoved,
        DriftVolumeLost,
        /// A machine and a volume belong to no town. The orphan sweeper deletes exactly these.
        SweepOrphans,
        /// The same while lists are incomplete for a long time. Nothing is deleted until then.
        SweepIncompleteLists,
        /// A living town has a second machine. The orphan sweeper reports it, and an operator deletes it.
        SweepSecondMachine,
    }
}

impl Scenario {
    /// Returns true if a second fault is tested soon after the first. It is tested where a caller waits for the result.
    pub(super) const fn has_second_faults(self) -> bool {
        match self {
            Self::Create | Self::CreateWithRig | Self::RepeatCreate | Self::CreateInSecondRegion => true,
            Self::RollBack => true,
            Self::Start | Self::StartWithNewMachine | Self::StartRunning | Self::StartWithoutVolume => true,
            Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopped => true,
            Self::DestroyCreating | Self::DestroyStarting | Self::DestroyStopping => true,
            Self::AddRig | Self::RemoveRig | Self::RemoveRigByForce => true,
            Self::Restart | Self::StopRestarting => true,
            Self::StopIdle | Self::StartStoppingIdle => true,
            // They differ from a start of a running or stopped town, or of one that is stopping, in their request.
            Self::StartBeforeIdleStop | Self::AddRigStoppingIdle | Self::AddRigStoppedIdle => false,
            // Their restarts are those of the monitor, and no caller waits for a pass.
            Self::Rollout | Self::UndoRollout | Self::StopRollingOut => false,
            // They differ from a restart or a start in the state that they find.
            Self::RestartWithoutVolume | Self::RestartWithNewMachine => false,
            Self::Restore | Self::RestoreRefused => true,
            // They differ from a restore or its undo in what they find.
            Self::RestoreInSecondRegion | Self::RestoreNothing | Self::RestoreFound => false,
            // Both operations have second faults.
            Self::DestroyRestarting | Self::DestroyRestoring => false,
            // These are two faults already.
            Self::CreateWithSurplusVolume | Self::RepeatCreateAfterCrash => false,
            // It starts as a create and ends as a destroy, and both have second faults.
            Self::RollBackMachine => false,
            // They repeat the same observations until the deadline. That is too many similar calls for two faults.
            Self::RollBackUnhealthy | Self::StartUnhealthy | Self::RestartUnhealthy => false,
            // A start, which has second faults, and rigs that workers add.
            Self::StartWithNewRig => false,
            // No caller waits for these. The next pass or process finishes what one of them leaves.
            Self::ReconcileRigs | Self::Read | Self::ShutDown | Self::TakeOver | Self::Reinstate => false,
            Self::DriftMachineStopped
            | Self::DriftMachineMissing
            | Self::DriftMachineReplaced
            | Self::DriftVolumeMoved => false,
            Self::DriftVolumeLost | Self::SweepOrphans | Self::SweepIncompleteLists | Self::SweepSecondMachine => false,
        }
    }

    /// Sets up the state before the scenario.
    pub(super) async fn set_up(self) -> Fixture {
        let mut bench = Bench::new();
        bench.fly.world().volumes_are_released_soon = true;
        bench.change_policy(|policy| match self {
            Self::RollBackUnhealthy => policy.timeouts.create = SHORT_TIMEOUT,
            Self::StartUnhealthy => policy.timeouts.start = SHORT_TIMEOUT,
            Self::RestartUnhealthy => policy.timeouts.restart = SHORT_TIMEOUT,
            Self::Rollout | Self::UndoRollout | Self::StopRollingOut => {
                (policy.timeouts.restart, policy.rollout.soak) = (SHORT_TIMEOUT * 3, SHORT_TIMEOUT);
            }
            // The lost create may still make a volume until it expires.
            Self::CreateWithSurplusVolume => policy.timeouts.caller *= 2,
            _ => {}
        });
        let town = match self {
            Self::Create | Self::CreateWithRig | Self::CreateInSecondRegion | Self::CreateWithSurplusVolume => None,
            Self::RollBack | Self::RollBackMachine | Self::RollBackUnhealthy => None,
            Self::DestroyCreating | Self::ShutDown => None,
            Self::TakeOver => Some(abandoned_create(&bench, request("mill")).await),
            Self::RepeatCreateAfterCrash => Some(abandoned_create(&bench, keyed()).await),
            Self::Start
            | Self::StartWithNewMachine
            | Self::StartUnhealthy
            | Self::StartWithoutVolume
            | Self::StartWithNewRig => Some(bench.stopped("mill").await.id),
            Self::Restore
            | Self::RestoreInSecondRegion
            | Self::RestoreRefused
            | Self::RestoreNothing
            | Self::RestoreFound
            | Self::DestroyRestoring => Some(bench.stopped("mill").await.id),
            Self::DestroyStopped | Self::DestroyStarting | Self::DriftVolumeLost => {
                Some(bench.stopped("mill").await.id)
            }
            Self::RepeatCreate => Some(bench.replica().towns.create_town(&alice(), keyed()).await.unwrap().town.id),
            Self::StartRunning | Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopping => {
                Some(bench.running("mill").await.id)
            }
            Self::Restart | Self::RestartUnhealthy | Self::RestartWithoutVolume | Self::RestartWithNewMachine => {
                Some(bench.running("mill").await.id)
            }
            Self::StopRestarting | Self::DestroyRestarting => Some(bench.running("mill").await.id),
            Self::StopIdle
            | Self::StartBeforeIdleStop
            | Self::StartStoppingIdle
            | Self::AddRigStoppingIdle
            | Self::AddRigStoppedIdle => Some(bench.running("mill").await.id),
            Self::Rollout | Self::UndoRollout | Self::StopRollingOut => Some(bench.running("mill").await.id),
            Self::AddRig | Self::RemoveRig | Self::RemoveRigByForce | Self::ReconcileRigs | Self::Read => {
                Some(bench.running("mill").await.id)
            }
            Self::Reinstate
            | Self::DriftMachineStopped
            | Self::DriftMachineMissing
            | Self::DriftMachineReplaced
            | Self::DriftVolumeMoved => Some(bench.running("mill").await.id),
            Self::SweepOrphans | Self::SweepIncompleteLists | Self::SweepSecondMachine => {
                Some(bench.running("mill").await.id)
            }
        };
        let mut fixture = Fixture { scenario: self, bench, town, rig: None };
        self.prepare(&mut fixture).await;
        fixture.bench.fly.schedule().clear_journal();
        fixture.bench.store.schedule().clear_journal();
        fixture
    }

    /// Sets up what is particular to the scenario.
    async fn prepare(self, fixture: &mut Fixture) {
        let now = Instant::now();
        match self {
            Self::RollBack => fixture.bench.fly.world().machines_refused = true,
            Self::RollBackMachine => fixture.bench.fly.world().fail_at_boot = true,
            Self::RollBackUnhealthy | Self::StartUnhealthy | Self::RestartUnhealthy => {
                fixture.bench.fly.world().sandboxes_unhealthy = true;
            }
            Self::CreateInSecondRegion => drop(fixture.bench.fly.world().full_regions.insert("iad".parse().unwrap())),
            Self::CreateWithSurplusVolume => fixture.lose_answer(),
            Self::StartWithNewMachine => fixture.remove_machine().await,
            Self::StartWithoutVolume | Self::RestartWithoutVolume | Self::DriftVolumeLost => {
                assert!(fixture.bench.fly.world().lose_volume(fixture.town()));
            }
            Self::Restore
            | Self::RestoreInSecondRegion
            | Self::RestoreRefused
            | Self::RestoreNothing
            | Self::DestroyRestoring => fixture.lose_volume(self),
            Self::RestoreFound => fixture.record_loss(),
            Self::Rollout | Self::StopRollingOut => start_rollout(&fixture.bench),
            Self::UndoRollout => {
                start_rollout(&fixture.bench);
                fixture.bench.fly.world().bad_images.insert(new_image());
                until_still(&fixture.bench).await;
                fixture.bench.store.rows().order_rollout(RolloutOrder::Undo);
            }
            Self::RemoveRig | Self::RemoveRigByForce => {
                let rig =
                    fixture.bench.replica().towns.add_rig(&alice(), rig(fixture.town(), "engine")).await.unwrap().rig;
                fixture.rig = Some(rig.id);
                if self == Self::RemoveRigByForce {
                    fixture.bench.fly.world().busy_rigs.insert("engine".to_owned());
                }
            }
            Self::StopIdle
            | Self::StartBeforeIdleStop
            | Self::StartStoppingIdle
            | Self::AddRigStoppingIdle
            | Self::Read => fixture.bench.make_idle(fixture.town()),
            Self::AddRigStoppedIdle => {
                fixture.bench.make_idle(fixture.town());
                stop_idle(&fixture.bench.replica()).await;
            }
            Self::ReconcileRigs => fixture.leave_rigs_pending().await,
            Self::Reinstate => fixture.soft_delete_by_hand(),
            Self::DriftMachineStopped => fixture.bench.fly.world().machines[0].phase = Phase::Off,
            Self::DriftMachineMissing | Self::StopWithoutMachine | Self::RestartWithNewMachine => {
                fixture.bench.fly.world().machines[0].phase = Phase::Gone(now);
            }
            Self::DriftMachineReplaced => fixture.bench.fly.world().replace_machine(fixture.town(), now),
            Self::DriftVolumeMoved => assert!(fixture.bench.fly.world().move_volume(fixture.town())),
            Self::SweepOrphans => fixture.add_orphans().await,
            Self::SweepIncompleteLists => {
                fixture.add_orphans().await;
                fixture.bench.fly.world().lists_incomplete_until = Some(now + LISTS_INCOMPLETE_FOR);
            }
            Self::SweepSecondMachine => fixture.bench.fly.world().copy_machine(fixture.town(), now),
            _ => {}
        }
    }

    /// Runs the scenario until it has ended or its process is dead.
    #[expect(clippy::too_many_lines, reason = "a table with an arm for each scenario")]
    pub(super) async fn run(self, fixture: &Fixture) {
        let replica = fixture.bench.replica();
        let (towns, alice) = (&replica.towns, alice());
        match self {
            Self::Create | Self::CreateInSecondRegion | Self::CreateWithSurplusVolume => {
                attempt(&replica, towns.create_town(&alice, request("mill"))).await;
            }
            Self::RollBack | Self::RollBackMachine | Self::RollBackUnhealthy => {
                attempt(&replica, towns.create_town(&alice, request("mill"))).await;
            }
            Self::CreateWithRig => attempt(&replica, towns.create_town(&alice, with_rig())).await,
            Self::RepeatCreate => attempt(&replica, towns.create_town(&alice, keyed())).await,
            Self::RepeatCreateAfterCrash => {
                let create = attempt(&replica, towns.create_town(&alice, keyed()));
                tokio::join!(create, run_sweep(&replica));
            }
            Self::Start
            | Self::StartWithNewMachine
            | Self::StartUnhealthy
            | Self::StartWithoutVolume
            | Self::StartRunning => {
                attempt(&replica, towns.start_town(&alice, fixture.town())).await;
            }
            Self::StartWithNewRig => {
                attempt(&replica, towns.add_rig(&alice, rig(fixture.town(), "engine"))).await;
                attempt(&replica, towns.start_town(&alice, fixture.town())).await;
            }
            Self::Restart | Self::RestartUnhealthy | Self::RestartWithoutVolume | Self::RestartWithNewMachine => {
                restart(&replica, fixture).await;
            }
            Self::Rollout | Self::UndoRollout => roll_out(&replica).await,
            Self::StopRollingOut => stop_meanwhile(fixture, roll_out(&replica)).await,
            Self::Restore
            | Self::RestoreInSecondRegion
            | Self::RestoreRefused
            | Self::RestoreNothing
            | Self::RestoreFound => restore(&replica, fixture).await,
            Self::DestroyRestoring => {
                destroy_meanwhile(fixture, Action::CreateMachine, restore(&replica, fixture)).await;
            }
            Self::StopIdle => stop_idle(&replica).await,
            Self::StartBeforeIdleStop => {
                attempt(&replica, replica.idle.pass()).await;
                attempt(&replica, towns.start_town(&alice, fixture.town())).await;
            }
            Self::StartStoppingIdle => {
                let (other, town) = (fixture.bench.replica(), fixture.town());
                meanwhile(fixture, attempt(&other, other.towns.start_town(&alice, town)), stop_idle(&replica)).await;
            }
            Self::AddRigStoppingIdle => {
                let (other, town) = (fixture.bench.replica(), fixture.town());
                meanwhile(fixture, add_rig_and_start(&other, town), stop_idle(&replica)).await;
            }
            Self::AddRigStoppedIdle => add_rig_and_start(&replica, fixture.town()).await,
            Self::StopRestarting => stop_meanwhile(fixture, restart(&replica, fixture)).await,
            Self::DestroyRestarting => {
                destroy_meanwhile(fixture, Action::StopMachine, restart(&replica, fixture)).await;
            }
            Self::Stop | Self::StopWithoutMachine => {
                attempt(&replica, towns.stop_town(&alice, fixture.town())).await;
            }
            Self::Destroy | Self::DestroyStopped => {
                attempt(&replica, towns.destroy_town(&alice, DestroyTown::until_gone(fixture.town()))).await;
            }
            Self::DestroyCreating => {
                let create = towns.create_town(&alice, request("mill"));
                destroy_meanwhile(fixture, Action::CreateMachine, attempt(&replica, create)).await;
            }
            Self::DestroyStarting => {
                let start = towns.start_town(&alice, fixture.town());
                destroy_meanwhile(fixture, Action::StartMachine, attempt(&replica, start)).await;
            }
            Self::DestroyStopping => {
                let stop = towns.stop_town(&alice, fixture.town());
                destroy_meanwhile(fixture, Action::StopMachine, attempt(&replica, stop)).await;
            }
            Self::AddRig => {
                attempt(&replica, towns.add_rig(&alice, rig(fixture.town(), "engine"))).await;
                attempt(&replica, towns.update_town(&alice, update(fixture.town()))).await;
            }
            Self::RemoveRig | Self::RemoveRigByForce => {
                let force = self == Self::RemoveRigByForce;
                let request = RemoveRig { town: fixture.town(), rig: fixture.rig.unwrap(), force };
                attempt(&replica, towns.remove_rig(&alice, request)).await;
            }
            Self::Read => attempt(&replica, read_town(&replica, fixture.town())).await,
            Self::ShutDown => shut_down_while_creating(&replica, fixture).await,
            Self::ReconcileRigs | Self::TakeOver | Self::Reinstate => run_sweep(&replica).await,
            Self::DriftMachineStopped
            | Self::DriftMachineMissing
            | Self::DriftMachineReplaced
            | Self::DriftVolumeMoved
            | Self::DriftVolumeLost => {
                for _ in 0..3 {
                    run_drift_detector(&replica).await;
                }
            }
            Self::SweepOrphans | Self::SweepIncompleteLists => {
                for _ in 0..10 {
                    run_orphan_sweeper(&replica).await;
                }
            }
            Self::SweepSecondMachine => {
                run_orphan_sweeper(&replica).await;
                delete_as_operator(&replica).await;
                run_orphan_sweeper(&replica).await;
            }
        }
    }
}

/// Destroys the town as soon as this call is sent to Fly.
async fn destroy_meanwhile(fixture: &Fixture, call: Action, what: impl Future<Output = ()>) {
    let (other, alice) = (fixture.bench.replica(), alice());
    let destroy = async {
        if let Some(town) = wait_for_call(&fixture.bench, call).await {
            attempt(&other, other.towns.destroy_town(&alice, DestroyTown::until_gone(town))).await;
        }
    };
    tokio::join!(what, destroy);
}

/// Stops the town as soon as a stop of its machine is sent to Fly.
async fn stop_meanwhile(fixture: &Fixture, what: impl Future<Output = ()>) {
    let (other, alice) = (fixture.bench.replica(), alice());
    let stop = async {
        if let Some(town) = wait_for_call(&fixture.bench, Action::StopMachine).await {
            attempt(&other, other.towns.stop_town(&alice, town)).await;
        }
    };
    tokio::join!(what, stop);
}

/// Makes a call of the owner as soon as a stop of the town's machine is sent to Fly.
async fn meanwhile(fixture: &Fixture, call: impl Future<Output = ()>, what: impl Future<Output = ()>) {
    let call = async {
        if wait_for_call(&fixture.bench, Action::StopMachine).await.is_some() {
            call.await;
        }
    };
    tokio::join!(what, call);
}

/// Adds a rig to a town that was stopped because it was idle, and waits for the start that it causes.
async fn add_rig_and_start(replica: &Replica, town: TownId) {
    attempt(replica, replica.towns.add_rig(&alice(), rig(town, "engine"))).await;
    attempt(replica, replica.towns.start_town(&alice(), town)).await;
}

/// Stops idle towns, and sweeps.
async fn stop_idle(replica: &Replica) {
    attempt(replica, replica.idle.pass()).await;
    run_sweep(replica).await;
}

/// Requests a restore as the owner does.
async fn restore(replica: &Replica, fixture: &Fixture) {
    attempt(replica, replica.towns.restore_town(&alice(), fixture.restore())).await;
}

/// Requests a restart as the health monitor does, and sweeps.
async fn restart(replica: &Replica, fixture: &Fixture) {
    let town = fixture.bench.store.town(fixture.town());
    attempt(replica, replica.towns.restart_town((town.id, &town.owner), RestartSync::Try, None)).await;
    run_sweep(replica).await;
}

pub(super) async fn run_sweep(replica: &Replica) {
    let sweep = async {
        let _ = replica.workers.sweep().await;
        replica.workers.idle().await;
    };
    attempt(replica, sweep).await;
}

async fn shut_down_while_creating(replica: &Replica, fixture: &Fixture) {
    let alice = alice();
    let stop = async {
        wait_for_call(&fixture.bench, Action::CreateMachine).await;
        replica.stop.cancel();
    };
    let create = attempt(replica, replica.towns.create_town(&alice, request("mill")));
    tokio::join!(create, stop);
    attempt(replica, replica.towns.drained()).await;
}

/// Returns a change of the configuration of a new town.
fn update(town: TownId) -> UpdateTown {
    let config = ConfigPatch { max_polecats: Change::Set(4), ..ConfigPatch::default() };
    UpdateTown { town, config, expected: TownConfig::default().version() }
}

async fn read_town(replica: &Replica, town: TownId) {
    let (towns, alice, key) = (&replica.towns, alice(), crate::env::key_of(town));
    let _ = towns.list_towns(&alice, TownPage::default()).await;
    let _ = towns.town_status(&alice, town).await;
    let _ = towns.town_events(&alice, EventPage { town, before: None, limit: 50 }).await;
    let _ = towns.rig(&alice, town, RigId::new(uuid::Uuid::nil())).await;
    let _ = towns.heartbeat(town, key.clone().into(), SandboxReport::default(), None).await;
    towns.close_heartbeats().await;
    let _ = towns.refresh_token(town, key.into()).await;
}
