//! What happens: every operation, from every state that matters, and what goes on without anybody asking.

use std::future::Future;
use std::time::Duration;

use gastown_domain::TownId;
use gastown_domain::ports::{Action, HomeCalls as _, RemoveRig, Towns as _};
use tokio::time::Instant;

use super::fixture::{
    Fixture, abandoned_create, attempt, delete_as_operator, keyed, rig, run_drift_detector, run_orphan_sweeper,
    wait_for_call, with_rig,
};
use crate::bench::{Bench, Replica, alice, request};
use crate::faults::listed;
use crate::world::Phase;

/// The patience with what never gets well: the looks of minutes would be the same again and again.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough for the orphans' grace to be over; the next pass is whole.
const LISTS_INCOMPLETE_FOR: Duration = Duration::from_secs(5000);

listed! {
    /// Something that happens, at whose every call something else may happen.
    Scenario {
        Create,
        /// With a first rig.
        CreateWithRig,
        /// Asked for again with the same idempotency key, when it is there.
        RepeatCreate,
        /// The same when its process has died half-way; the caller waits until workers have taken it over.
        RepeatCreateAfterCrash,
        /// The first region has no room for machines.
        CreateInSecondRegion,
        /// The answer that said which volume was made got lost, and so did the volume in the list.
        CreateWithSurplusVolume,
        /// Fly refuses the machine for good: the create is undone.
        RollBack,
        /// The machine is made and fails at boot: it is undone too.
        RollBackMachine,
        /// The machine runs, and its sandbox never gets well: the same at the deadline.
        RollBackUnhealthy,
        Start,
        /// The sandbox does not get well any more: at the deadline the start becomes a stop.
        StartUnhealthy,
        /// The stopped town's volume is lost: the start is refused.
        StartWithoutVolume,
        /// Of a stopped town that was given a rig.
        StartWithNewRig,
        /// The stopped town's machine is gone: another is made on its volume.
        StartWithNewMachine,
        StartRunning,
        Stop,
        /// The running town's machine is gone.
        StopWithoutMachine,
        Destroy,
        DestroyStopped,
        /// Pre-empts a create in flight, a start, a stop.
        DestroyCreating,
        DestroyStarting,
        DestroyStopping,
        AddRig,
        RemoveRig,
        /// Though somebody works in it.
        RemoveRigByForce,
        /// Workers add and remove what could not be when it was asked for.
        ReconcileRigs,
        /// What its owner and its sandbox ask of a town in between.
        Read,
        /// The process that creates a town is shut down in good order, another goes on.
        ShutDown,
        /// The process that created a town is dead, workers take it over.
        TakeOver,
        /// A tombstone that nobody drives still has its machine: workers take it up.
        Reinstate,
        /// Somebody else stopped the machine of a running town: the inspector tells its row.
        DriftMachineStopped,
        /// The running town's machine is gone, is another one, mounts the volume that Fly moved the data to; the stopped
        /// town's volume is lost.
        DriftMachineMissing,
        DriftMachineReplaced,
        DriftVolumeMoved,
        DriftVolumeLost,
        /// A machine and a volume belong to nobody: the orphan sweeper removes them, and no other.
        SweepOrphans,
        /// The same while for long something in each list cannot be read: until then nothing is removed.
        SweepIncompleteLists,
        /// A living town has a second machine: the orphan sweeper reports it, an operator deletes it.
        SweepSecondMachine,
    }
}

impl Scenario {
    /// Whether a second fault is told of soon after the first: of what somebody asked for and waits for.
    pub(super) const fn has_second_faults(self) -> bool {
        match self {
            Self::Create | Self::CreateWithRig | Self::RepeatCreate | Self::CreateInSecondRegion => true,
            Self::RollBack => true,
            Self::Start | Self::StartWithNewMachine | Self::StartRunning | Self::StartWithoutVolume => true,
            Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopped => true,
            Self::DestroyCreating | Self::DestroyStarting | Self::DestroyStopping => true,
            Self::AddRig | Self::RemoveRig | Self::RemoveRigByForce => true,
            // It is two faults already, and so is this.
            Self::CreateWithSurplusVolume | Self::RepeatCreateAfterCrash => false,
            // It comes up as a create and goes as a destroy does, whose second faults are told.
            Self::RollBackMachine => false,
            // The same looks again and again until the deadline: too many calls, and too much alike, for two of each.
            Self::RollBackUnhealthy | Self::StartUnhealthy => false,
            // A start whose second faults are told, and rigs that workers settle.
            Self::StartWithNewRig => false,
            // Nobody waits for these: what one of them does not do, the next pass or process does.
            Self::ReconcileRigs | Self::Read | Self::ShutDown | Self::TakeOver | Self::Reinstate => false,
            Self::DriftMachineStopped
            | Self::DriftMachineMissing
            | Self::DriftMachineReplaced
            | Self::DriftVolumeMoved => false,
            Self::DriftVolumeLost | Self::SweepOrphans | Self::SweepIncompleteLists | Self::SweepSecondMachine => false,
        }
    }

    /// Everything as it is before.
    pub(super) async fn set_up(self) -> Fixture {
        let mut bench = Bench::new();
        bench.fly.world().volumes_are_released_soon = true;
        let policy = &mut bench.settings.policy;
        match self {
            Self::RollBackUnhealthy => policy.create_timeout = SHORT_TIMEOUT,
            Self::StartUnhealthy => policy.start_timeout = SHORT_TIMEOUT,
            _ => {}
        }
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
            Self::DestroyStopped | Self::DestroyStarting | Self::DriftVolumeLost => {
                Some(bench.stopped("mill").await.id)
            }
            Self::RepeatCreate => Some(bench.replica().towns.create_town(&alice(), keyed()).await.unwrap().id),
            Self::StartRunning | Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopping => {
                Some(bench.running("mill").await.id)
            }
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

    /// What is not as usual.
    async fn prepare(self, fixture: &mut Fixture) {
        let now = Instant::now();
        match self {
            Self::RollBack => fixture.bench.fly.world().machines_refused = true,
            Self::RollBackMachine => fixture.bench.fly.world().fail_at_boot = true,
            Self::RollBackUnhealthy | Self::StartUnhealthy => fixture.bench.fly.world().sandboxes_unhealthy = true,
            Self::CreateInSecondRegion => drop(fixture.bench.fly.world().full_regions.insert("iad".parse().unwrap())),
            Self::CreateWithSurplusVolume => fixture.lose_answer(),
            Self::StartWithNewMachine => fixture.remove_machine().await,
            Self::StartWithoutVolume | Self::DriftVolumeLost => {
                assert!(fixture.bench.fly.world().lose_volume(fixture.town()));
            }
            Self::RemoveRig | Self::RemoveRigByForce => {
                let rig = fixture.bench.replica().towns.add_rig(&alice(), rig(fixture.town(), "engine")).await.unwrap();
                fixture.rig = Some(rig.id);
                if self == Self::RemoveRigByForce {
                    fixture.bench.fly.world().busy_rigs.insert("engine".to_owned());
                }
            }
            Self::ReconcileRigs => fixture.leave_rigs_pending().await,
            Self::Reinstate => fixture.soft_delete_by_hand(),
            Self::DriftMachineStopped => fixture.bench.fly.world().machines[0].phase = Phase::Off,
            Self::DriftMachineMissing | Self::StopWithoutMachine => {
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

    /// Lets it happen; whatever the answer, it has ended or its process is dead.
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
            Self::Stop | Self::StopWithoutMachine => {
                attempt(&replica, towns.stop_town(&alice, fixture.town())).await;
            }
            Self::Destroy | Self::DestroyStopped => {
                attempt(&replica, towns.destroy_town(&alice, fixture.town())).await;
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
            Self::AddRig => attempt(&replica, towns.add_rig(&alice, rig(fixture.town(), "engine"))).await,
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

/// Somebody destroys the town as soon as Fly is asked for this.
async fn destroy_meanwhile(fixture: &Fixture, call: Action, what: impl Future<Output = ()>) {
    let (other, alice) = (fixture.bench.replica(), alice());
    let destroy = async {
        if let Some(town) = wait_for_call(&fixture.bench, call).await {
            attempt(&other, other.towns.destroy_town(&alice, town)).await;
        }
    };
    tokio::join!(what, destroy);
}

async fn run_sweep(replica: &Replica) {
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

async fn read_town(replica: &Replica, town: TownId) {
    let (towns, alice, key) = (&replica.towns, alice(), crate::env::key_of(town));
    let _ = towns.list_towns(&alice).await;
    let _ = towns.town_status(&alice, town).await;
    let _ = towns.heartbeat(town, key.clone().into()).await;
    let _ = towns.refresh_token(town, key.into()).await;
}
