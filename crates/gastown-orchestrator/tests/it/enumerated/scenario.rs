//! What happens: every operation, from every state that matters, and what goes on without anybody asking.

use std::future::Future;
use std::time::Duration;

use gastown_domain::TownId;
use gastown_domain::ports::{Action, HomeCalls as _, RemoveRig, Towns as _};
use tokio::time::Instant;

use super::stage::{
    Stage, abandoned, deleted_by_an_operator, inspected, keyed, once_asked_for, rig, searched, until_it_dies, with_rig,
};
use crate::bench::{Bench, Replica, alice, request};
use crate::faults::listed;
use crate::world::Phase;

/// The patience with what never gets well: the looks of minutes would be the same again and again.
const SHORT: Duration = Duration::from_secs(10);

/// Long enough for the orphans' grace to be over; the next pass is whole.
const IN_PART: Duration = Duration::from_secs(5000);

listed! {
    /// Something that happens, at whose every call something else may happen.
    Scenario {
        Create,
        /// With a first rig.
        CreateWithRig,
        /// Asked for again with the same idempotency key, when it is there.
        CreateAgain,
        /// The same when its process has died half-way; the caller waits until workers have taken it over.
        CreateAgainAfterCrash,
        /// The first region has no room for machines.
        CreateElsewhere,
        /// The answer that said which volume was made got lost, and so did the volume in the list.
        CreateWithSurplus,
        /// Fly refuses the machine for good: the create is undone.
        RollBack,
        /// The machine is made and fails at boot: it is undone too.
        RollBackMachine,
        /// The machine runs, and its sandbox never gets well: the same at the deadline.
        RollBackUnwell,
        Start,
        /// The sandbox does not get well any more: at the deadline the start becomes a stop.
        StartUnwell,
        /// The stopped town's volume is lost: the start is refused.
        StartWithoutVolume,
        /// Of a stopped town that was given a rig.
        StartWithNewRig,
        /// The stopped town's machine is gone: another is made on its volume.
        StartAnew,
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
        SettleRigs,
        /// What its owner and its sandbox ask of a town in between.
        Look,
        /// The process that creates a town is shut down in good order, another goes on.
        ShutDown,
        /// The process that created a town is dead, workers take it over.
        TakeOver,
        /// A tombstone that nobody drives still has its machine: workers take it up.
        Reinstate,
        /// Somebody else stopped the machine of a running town: the inspector tells its row.
        Inspect,
        /// The running town's machine is gone, is another one, mounts the volume that Fly moved the data to; the stopped
        /// town's volume is lost.
        InspectMissing,
        InspectReplaced,
        InspectMoved,
        InspectLost,
        /// A machine and a volume belong to nobody: the orphan sweeper removes them, and no other.
        SweepOrphans,
        /// The same while for long something in each list cannot be read: until then nothing is removed.
        SweepInPart,
        /// A living town has a second machine: the orphan sweeper reports it, an operator deletes it.
        SweepSecond,
    }
}

impl Scenario {
    /// Whether a second fault is told of soon after the first: of what somebody asked for and waits for.
    pub(super) const fn has_second_faults(self) -> bool {
        match self {
            Self::Create | Self::CreateWithRig | Self::CreateAgain | Self::CreateElsewhere => true,
            Self::RollBack => true,
            Self::Start | Self::StartAnew | Self::StartRunning | Self::StartWithoutVolume => true,
            Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopped => true,
            Self::DestroyCreating | Self::DestroyStarting | Self::DestroyStopping => true,
            Self::AddRig | Self::RemoveRig | Self::RemoveRigByForce => true,
            // It is two faults already, and so is this.
            Self::CreateWithSurplus | Self::CreateAgainAfterCrash => false,
            // It comes up as a create and goes as a destroy does, whose second faults are told.
            Self::RollBackMachine => false,
            // The same looks again and again until the deadline: too many calls, and too much alike, for two of each.
            Self::RollBackUnwell | Self::StartUnwell => false,
            // A start whose second faults are told, and rigs that workers settle.
            Self::StartWithNewRig => false,
            // Nobody waits for these: what one of them does not do, the next pass or process does.
            Self::SettleRigs | Self::Look | Self::ShutDown | Self::TakeOver | Self::Reinstate => false,
            Self::Inspect | Self::InspectMissing | Self::InspectReplaced | Self::InspectMoved => false,
            Self::InspectLost | Self::SweepOrphans | Self::SweepInPart | Self::SweepSecond => false,
        }
    }

    /// Everything as it is before.
    pub(super) async fn stage(self) -> Stage {
        let mut bench = Bench::new();
        bench.fly.world().volumes_are_released_soon = true;
        let policy = &mut bench.settings.policy;
        match self {
            Self::RollBackUnwell => policy.create_timeout = SHORT,
            Self::StartUnwell => policy.start_timeout = SHORT,
            _ => {}
        }
        let town = match self {
            Self::Create | Self::CreateWithRig | Self::CreateElsewhere | Self::CreateWithSurplus => None,
            Self::RollBack | Self::RollBackMachine | Self::RollBackUnwell => None,
            Self::DestroyCreating | Self::ShutDown => None,
            Self::TakeOver => Some(abandoned(&bench, request("mill")).await),
            Self::CreateAgainAfterCrash => Some(abandoned(&bench, keyed()).await),
            Self::Start | Self::StartAnew | Self::StartUnwell | Self::StartWithoutVolume | Self::StartWithNewRig => {
                Some(bench.stopped("mill").await.id)
            }
            Self::DestroyStopped | Self::DestroyStarting | Self::InspectLost => Some(bench.stopped("mill").await.id),
            Self::CreateAgain => Some(bench.replica().towns.create_town(&alice(), keyed()).await.unwrap().id),
            Self::StartRunning | Self::Stop | Self::StopWithoutMachine | Self::Destroy | Self::DestroyStopping => {
                Some(bench.running("mill").await.id)
            }
            Self::AddRig | Self::RemoveRig | Self::RemoveRigByForce | Self::SettleRigs | Self::Look => {
                Some(bench.running("mill").await.id)
            }
            Self::Reinstate | Self::Inspect | Self::InspectMissing | Self::InspectReplaced | Self::InspectMoved => {
                Some(bench.running("mill").await.id)
            }
            Self::SweepOrphans | Self::SweepInPart | Self::SweepSecond => Some(bench.running("mill").await.id),
        };
        let mut stage = Stage { scenario: self, bench, town, rig: None };
        self.prepare(&mut stage).await;
        stage.bench.fly.schedule().forget();
        stage.bench.store.schedule().forget();
        stage
    }

    /// What is not as usual.
    async fn prepare(self, stage: &mut Stage) {
        let now = Instant::now();
        match self {
            Self::RollBack => stage.bench.fly.world().machines_refused = true,
            Self::RollBackMachine => stage.bench.fly.world().fail_at_boot = true,
            Self::RollBackUnwell | Self::StartUnwell => stage.bench.fly.world().unwell = true,
            Self::CreateElsewhere => drop(stage.bench.fly.world().full.insert("iad".parse().unwrap())),
            Self::CreateWithSurplus => stage.lose_answer(),
            Self::StartAnew => stage.remove_machine().await,
            Self::StartWithoutVolume | Self::InspectLost => {
                assert!(stage.bench.fly.world().lose_volume(stage.town()));
            }
            Self::RemoveRig | Self::RemoveRigByForce => {
                let rig = stage.bench.replica().towns.add_rig(&alice(), rig(stage.town(), "engine")).await.unwrap();
                stage.rig = Some(rig.id);
                if self == Self::RemoveRigByForce {
                    stage.bench.fly.world().busy_rigs.insert("engine".to_owned());
                }
            }
            Self::SettleRigs => stage.leave_rigs_unsettled().await,
            Self::Reinstate => stage.hide_by_hand(),
            Self::Inspect => stage.bench.fly.world().machines[0].phase = Phase::Off,
            Self::InspectMissing | Self::StopWithoutMachine => {
                stage.bench.fly.world().machines[0].phase = Phase::Gone(now);
            }
            Self::InspectReplaced => stage.bench.fly.world().replace_machine(stage.town(), now),
            Self::InspectMoved => assert!(stage.bench.fly.world().move_volume(stage.town())),
            Self::SweepOrphans => stage.add_orphans().await,
            Self::SweepInPart => {
                stage.add_orphans().await;
                stage.bench.fly.world().garbled_until = Some(now + IN_PART);
            }
            Self::SweepSecond => stage.bench.fly.world().copy_machine(stage.town(), now),
            _ => {}
        }
    }

    /// Lets it happen; whatever the answer, it has ended or its process is dead.
    pub(super) async fn happen(self, stage: &Stage) {
        let replica = stage.bench.replica();
        let (towns, alice) = (&replica.towns, alice());
        match self {
            Self::Create | Self::CreateElsewhere | Self::CreateWithSurplus => {
                until_it_dies(&replica, towns.create_town(&alice, request("mill"))).await;
            }
            Self::RollBack | Self::RollBackMachine | Self::RollBackUnwell => {
                until_it_dies(&replica, towns.create_town(&alice, request("mill"))).await;
            }
            Self::CreateWithRig => until_it_dies(&replica, towns.create_town(&alice, with_rig())).await,
            Self::CreateAgain => until_it_dies(&replica, towns.create_town(&alice, keyed())).await,
            Self::CreateAgainAfterCrash => {
                let create = until_it_dies(&replica, towns.create_town(&alice, keyed()));
                tokio::join!(create, swept(&replica));
            }
            Self::Start | Self::StartAnew | Self::StartUnwell | Self::StartWithoutVolume | Self::StartRunning => {
                until_it_dies(&replica, towns.start_town(&alice, stage.town())).await;
            }
            Self::StartWithNewRig => {
                until_it_dies(&replica, towns.add_rig(&alice, rig(stage.town(), "engine"))).await;
                until_it_dies(&replica, towns.start_town(&alice, stage.town())).await;
            }
            Self::Stop | Self::StopWithoutMachine => {
                until_it_dies(&replica, towns.stop_town(&alice, stage.town())).await;
            }
            Self::Destroy | Self::DestroyStopped => {
                until_it_dies(&replica, towns.destroy_town(&alice, stage.town())).await;
            }
            Self::DestroyCreating => {
                let create = towns.create_town(&alice, request("mill"));
                destroyed_meanwhile(stage, Action::CreateMachine, until_it_dies(&replica, create)).await;
            }
            Self::DestroyStarting => {
                let start = towns.start_town(&alice, stage.town());
                destroyed_meanwhile(stage, Action::StartMachine, until_it_dies(&replica, start)).await;
            }
            Self::DestroyStopping => {
                let stop = towns.stop_town(&alice, stage.town());
                destroyed_meanwhile(stage, Action::StopMachine, until_it_dies(&replica, stop)).await;
            }
            Self::AddRig => until_it_dies(&replica, towns.add_rig(&alice, rig(stage.town(), "engine"))).await,
            Self::RemoveRig | Self::RemoveRigByForce => {
                let force = self == Self::RemoveRigByForce;
                let wish = RemoveRig { town: stage.town(), rig: stage.rig.unwrap(), force };
                until_it_dies(&replica, towns.remove_rig(&alice, wish)).await;
            }
            Self::Look => until_it_dies(&replica, look(&replica, stage.town())).await,
            Self::ShutDown => shut_down_while_creating(&replica, stage).await,
            Self::SettleRigs | Self::TakeOver | Self::Reinstate => swept(&replica).await,
            Self::Inspect | Self::InspectMissing | Self::InspectReplaced | Self::InspectMoved | Self::InspectLost => {
                for _ in 0..3 {
                    inspected(&replica).await;
                }
            }
            Self::SweepOrphans | Self::SweepInPart => {
                for _ in 0..10 {
                    searched(&replica).await;
                }
            }
            Self::SweepSecond => {
                searched(&replica).await;
                deleted_by_an_operator(&replica).await;
                searched(&replica).await;
            }
        }
    }
}

/// Somebody destroys the town as soon as Fly is asked for this.
async fn destroyed_meanwhile(stage: &Stage, asked: Action, what: impl Future<Output = ()>) {
    let (other, alice) = (stage.bench.replica(), alice());
    let destroy = async {
        if let Some(town) = once_asked_for(&stage.bench, asked).await {
            until_it_dies(&other, other.towns.destroy_town(&alice, town)).await;
        }
    };
    tokio::join!(what, destroy);
}

async fn swept(replica: &Replica) {
    let sweep = async {
        let _ = replica.workers.sweep().await;
        replica.workers.idle().await;
    };
    until_it_dies(replica, sweep).await;
}

async fn shut_down_while_creating(replica: &Replica, stage: &Stage) {
    let alice = alice();
    let stop = async {
        once_asked_for(&stage.bench, Action::CreateMachine).await;
        replica.stop.cancel();
    };
    let create = until_it_dies(replica, replica.towns.create_town(&alice, request("mill")));
    tokio::join!(create, stop);
    until_it_dies(replica, replica.towns.drained()).await;
}

async fn look(replica: &Replica, town: TownId) {
    let (towns, alice, key) = (&replica.towns, alice(), crate::keys::key_of(town));
    let _ = towns.list_towns(&alice).await;
    let _ = towns.town_status(&alice, town).await;
    let _ = towns.heartbeat(town, key.clone().into()).await;
    let _ = towns.refresh_token(town, key.into()).await;
}
