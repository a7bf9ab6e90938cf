//! What happens: every operation, from every state that matters, and what goes on without anybody asking.

use gastown_domain::TownId;
use gastown_domain::ports::{HomeCalls as _, RemoveRig, Towns as _};

use super::stage::{Stage, abandoned, being_made, inspected, keyed, rig, searched, until_it_dies, with_rig};
use crate::bench::{Bench, Replica, alice, request};
use crate::faults::listed;
use crate::world::Phase;

listed! {
    /// Something that happens, at whose every call something else may happen.
    Scenario {
        Create,
        /// With a first rig.
        CreateWithRig,
        /// Asked for again with the same idempotency key, when it is there.
        CreateAgain,
        /// The first region has no room for machines.
        CreateElsewhere,
        /// The answer that said which volume was made got lost, and so did the volume in the list.
        CreateWithSurplus,
        /// Fly refuses the machine for good: the create is undone.
        RollBack,
        Start,
        /// The stopped town's machine is gone: another is made on its volume.
        StartAnew,
        StartRunning,
        Stop,
        Destroy,
        DestroyStopped,
        /// Pre-empts a create in flight.
        DestroyCreating,
        AddRig,
        RemoveRig,
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
        /// A machine and a volume belong to nobody: the orphan sweeper removes them, and no other.
        SweepOrphans,
    }
}

impl Scenario {
    /// Whether somebody asked for it; two faults are told of these only.
    pub(super) const fn is_an_operation(self) -> bool {
        match self {
            Self::Create | Self::CreateAgain | Self::CreateElsewhere | Self::RollBack | Self::AddRig => true,
            Self::CreateWithRig | Self::Start | Self::StartAnew | Self::StartRunning | Self::Stop | Self::RemoveRig => {
                true
            }
            Self::Destroy | Self::DestroyStopped | Self::DestroyCreating => true,
            // It is two faults already.
            Self::CreateWithSurplus => false,
            Self::SettleRigs | Self::Look | Self::ShutDown | Self::TakeOver | Self::Reinstate => false,
            Self::Inspect | Self::SweepOrphans => false,
        }
    }

    /// Everything as it is before.
    pub(super) async fn stage(self) -> Stage {
        let bench = Bench::new();
        bench.fly.world().volumes_are_released_soon = true;
        let town = match self {
            Self::Create | Self::CreateWithRig | Self::CreateElsewhere | Self::CreateWithSurplus => None,
            Self::RollBack | Self::DestroyCreating | Self::ShutDown => None,
            Self::TakeOver => Some(abandoned(&bench).await),
            Self::Start | Self::StartAnew | Self::DestroyStopped => Some(bench.stopped("mill").await.id),
            Self::CreateAgain => Some(bench.replica().towns.create_town(&alice(), keyed()).await.unwrap().id),
            Self::StartRunning | Self::Stop | Self::Destroy | Self::AddRig | Self::RemoveRig | Self::Look => {
                Some(bench.running("mill").await.id)
            }
            Self::SettleRigs | Self::Reinstate | Self::Inspect | Self::SweepOrphans => {
                Some(bench.running("mill").await.id)
            }
        };
        let mut stage = Stage { scenario: self, bench, town, rig: None };
        match self {
            Self::RollBack => stage.bench.fly.world().machines_refused = true,
            Self::CreateElsewhere => drop(stage.bench.fly.world().full.insert("iad".parse().unwrap())),
            Self::CreateWithSurplus => stage.lose_volume(),
            Self::StartAnew => stage.remove_machine().await,
            Self::RemoveRig => {
                let rig = stage.bench.replica().towns.add_rig(&alice(), rig(stage.town(), "engine")).await.unwrap();
                stage.rig = Some(rig.id);
            }
            Self::SettleRigs => stage.leave_rigs_unsettled().await,
            Self::Reinstate => stage.hide_by_hand(),
            Self::Inspect => stage.bench.fly.world().machines[0].phase = Phase::Off,
            Self::SweepOrphans => stage.add_orphans().await,
            _ => {}
        }
        stage.bench.fly.schedule().forget();
        stage.bench.store.schedule().forget();
        stage
    }

    /// Lets it happen; whatever the answer, it has ended or its process is dead.
    pub(super) async fn happen(self, stage: &Stage) {
        let replica = stage.bench.replica();
        let (towns, alice) = (&replica.towns, alice());
        match self {
            Self::Create | Self::RollBack | Self::CreateElsewhere | Self::CreateWithSurplus => {
                until_it_dies(&replica, towns.create_town(&alice, request("mill"))).await;
            }
            Self::CreateWithRig => until_it_dies(&replica, towns.create_town(&alice, with_rig())).await,
            Self::CreateAgain => until_it_dies(&replica, towns.create_town(&alice, keyed())).await,
            Self::Start | Self::StartAnew | Self::StartRunning => {
                until_it_dies(&replica, towns.start_town(&alice, stage.town())).await;
            }
            Self::Stop => until_it_dies(&replica, towns.stop_town(&alice, stage.town())).await,
            Self::Destroy | Self::DestroyStopped => {
                until_it_dies(&replica, towns.destroy_town(&alice, stage.town())).await;
            }
            Self::DestroyCreating => destroy_what_is_being_made(&replica, stage).await,
            Self::AddRig => until_it_dies(&replica, towns.add_rig(&alice, rig(stage.town(), "engine"))).await,
            Self::RemoveRig => {
                let wish = RemoveRig { town: stage.town(), rig: stage.rig.unwrap(), force: false };
                until_it_dies(&replica, towns.remove_rig(&alice, wish)).await;
            }
            Self::Look => until_it_dies(&replica, look(&replica, stage.town())).await,
            Self::ShutDown => shut_down_while_creating(&replica, stage).await,
            Self::SettleRigs | Self::TakeOver | Self::Reinstate => {
                let sweep = async {
                    let _ = replica.workers.sweep().await;
                    replica.workers.idle().await;
                };
                until_it_dies(&replica, sweep).await;
            }
            Self::Inspect => {
                for _ in 0..3 {
                    inspected(&replica).await;
                }
            }
            Self::SweepOrphans => {
                for _ in 0..10 {
                    searched(&replica).await;
                }
            }
        }
    }
}

async fn destroy_what_is_being_made(replica: &Replica, stage: &Stage) {
    let (other, alice) = (stage.bench.replica(), alice());
    let destroy = async {
        if let Some(town) = being_made(&stage.bench).await {
            until_it_dies(&other, other.towns.destroy_town(&alice, town)).await;
        }
    };
    let create = until_it_dies(replica, replica.towns.create_town(&alice, request("mill")));
    tokio::join!(create, destroy);
}

async fn shut_down_while_creating(replica: &Replica, stage: &Stage) {
    let alice = alice();
    let stop = async {
        being_made(&stage.bench).await;
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
