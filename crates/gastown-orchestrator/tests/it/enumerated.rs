//! Every fault at every call of every operation: whatever strikes, all ends well.

use gastown_domain::TownId;
use gastown_domain::ports::Towns as _;

use crate::bench::{Bench, Replica, alice, request};
use crate::faults::Fault;

#[derive(Debug, Clone, Copy)]
enum Wish {
    Create,
    Stop,
    Start,
    StartRunning,
    Destroy,
    DestroyStopped,
}

impl Wish {
    /// A bench that is ready for the operation.
    async fn bench(self) -> (Bench, Option<TownId>) {
        let bench = Bench::new();
        let town = match self {
            Self::Create => None,
            Self::Stop | Self::StartRunning | Self::Destroy => Some(bench.running("mill").await.id),
            Self::Start | Self::DestroyStopped => Some(bench.stopped("mill").await.id),
        };
        bench.fly.schedule().journal.clear();
        bench.store.schedule().journal.clear();
        (bench, town)
    }

    /// Asks for it; whatever the answer, the operation ends.
    async fn ask(self, replica: &Replica, town: Option<TownId>) {
        let towns = &replica.towns;
        let alice = alice();
        let asked = async {
            match (self, town) {
                (Self::Create, _) | (_, None) => towns.create_town(&alice, request("mill")).await.map(drop),
                (Self::Stop, Some(town)) => towns.stop_town(&alice, town).await.map(drop),
                (Self::Start | Self::StartRunning, Some(town)) => towns.start_town(&alice, town).await.map(drop),
                (Self::Destroy | Self::DestroyStopped, Some(town)) => towns.destroy_town(&alice, town).await.map(drop),
            }
        };
        let _ = replica.survives(asked).await;
    }
}

/// How many calls the operation makes undisturbed: to Fly and the sandbox, and to the registry.
async fn calls_of(wish: Wish) -> (usize, usize) {
    let (bench, town) = wish.bench().await;
    wish.ask(&bench.replica(), town).await;
    bench.assert_invariants(&format!("{wish:?} undisturbed"));
    let (fly, store) = (bench.fly.schedule().journal.len(), bench.store.schedule().journal.len());
    assert!(fly > 0 && store > 0, "{wish:?}");
    (fly, store)
}

async fn survives_every_fault(wish: Wish) {
    let (calls, _) = calls_of(wish).await;
    for call in 0..calls {
        for fault in Fault::ALL {
            let (bench, town) = wish.bench().await;
            bench.fly.schedule().at(call, fault);
            wish.ask(&bench.replica(), town).await;
            let struck = bench.fly.schedule().journal[call];
            let case = format!("{wish:?}: {fault:?} at call {call}, {struck:?}");
            bench.recover_in(&case).await;
            bench.assert_invariants(&case);
        }
    }
}

async fn survives_every_lost_answer_of_the_registry(wish: Wish) {
    let (_, calls) = calls_of(wish).await;
    for call in 0..calls {
        for fault in [Fault::NotSent, Fault::ReplyLost, Fault::CrashBefore, Fault::CrashAfter] {
            let (bench, town) = wish.bench().await;
            bench.store.schedule().at(call, fault);
            wish.ask(&bench.replica(), town).await;
            let struck = bench.store.schedule().journal[call];
            let case = format!("{wish:?}: {fault:?} at call {call}, {struck:?}");
            bench.recover_in(&case).await;
            bench.assert_invariants(&case);
        }
    }
}

macro_rules! enumerate {
    ($($wish:ident: $fly:ident, $store:ident;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $fly() {
            survives_every_fault(Wish::$wish).await;
        }

        #[tokio::test(start_paused = true)]
        async fn $store() {
            survives_every_lost_answer_of_the_registry(Wish::$wish).await;
        }
    )*};
}

enumerate! {
    Create: a_create_survives_every_fault_at_every_call, a_create_survives_every_trouble_with_the_registry;
    Stop: a_stop_survives_every_fault_at_every_call, a_stop_survives_every_trouble_with_the_registry;
    Start: a_start_survives_every_fault_at_every_call, a_start_survives_every_trouble_with_the_registry;
    StartRunning: a_start_of_a_running_town_survives_every_fault, a_start_of_a_running_town_survives_the_registry;
    Destroy: a_destroy_survives_every_fault_at_every_call, a_destroy_survives_every_trouble_with_the_registry;
    DestroyStopped: a_destroy_of_a_stopped_town_survives_every_fault, a_destroy_of_a_stopped_town_survives_the_registry;
}
