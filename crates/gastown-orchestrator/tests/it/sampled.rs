//! Random operations, faults, crashes and restarts: once the faults stop, all settles.

use std::time::Duration;

use gastown_domain::ports::{AddRig, RemoveRig, TownError, Towns as _};
use gastown_domain::{Branch, TownId};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::sleep;

use crate::bench::{Bench, Replica, alice, request};
use crate::faults::Fault;

#[derive(Debug, Clone)]
enum Move {
    Create,
    Start(usize),
    Stop(usize),
    Destroy(usize),
    AddRig(usize, bool),
    RemoveRig(usize),
    /// The process is killed, another takes its place.
    Crash,
    /// It is shut down in order.
    Restart,
    /// Fly and the sandboxes: strikes the nth call from now.
    Trouble(usize, Fault),
    /// The registry: strikes the nth call from now.
    LostWrite(usize, Fault),
    /// Workers sweep.
    Sweep,
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let town = 0..3_usize;
    let one = prop_oneof![
        2 => Just(Move::Create),
        2 => town.clone().prop_map(Move::Start),
        2 => town.clone().prop_map(Move::Stop),
        1 => town.clone().prop_map(Move::Destroy),
        1 => (town.clone(), any::<bool>()).prop_map(|(town, name)| Move::AddRig(town, name)),
        1 => town.prop_map(Move::RemoveRig),
        1 => Just(Move::Crash),
        1 => Just(Move::Restart),
        4 => (0..15_usize, select(Fault::ALL.iter().copied().filter(|fault| ![Fault::LandsLate, Fault::Contended].contains(fault)).collect::<Vec<_>>())).prop_map(|(nth, fault)| Move::Trouble(nth, fault)),
        1 => (0..30_usize, select(vec![Fault::NotSent, Fault::ReplyLost, Fault::CrashAfter]))
            .prop_map(|(nth, fault)| Move::LostWrite(nth, fault)),
        1 => Just(Move::Sweep),
        3 => (1..120_u64).prop_map(Move::Wait),
    ];
    proptest::collection::vec(one, 1..25)
}

/// The town of this number, in the order of their creation.
fn town(bench: &Bench, number: usize) -> Option<TownId> {
    bench.store.rows().towns.keys().nth(number).copied()
}

/// Asks and does not wait for the answer beyond a moment.
async fn ask(replica: &Replica, call: impl Future<Output = Result<(), TownError>> + Send + 'static) {
    let asked = tokio::spawn(call);
    let _ = replica.survives(tokio::time::timeout(Duration::from_secs(2), asked)).await;
}

async fn make(bench: &Bench, replica: &mut Replica, made: usize, step: Move) {
    let (towns, alice) = (replica.towns.clone(), alice());
    match step {
        Move::Create => {
            ask(replica, async move { towns.create_town(&alice, request(&format!("town-{made}"))).await.map(drop) })
                .await;
        }
        Move::Start(number) => {
            let Some(town) = town(bench, number) else { return };
            ask(replica, async move { towns.start_town(&alice, town).await.map(drop) }).await;
        }
        Move::Stop(number) => {
            let Some(town) = town(bench, number) else { return };
            ask(replica, async move { towns.stop_town(&alice, town).await.map(drop) }).await;
        }
        Move::Destroy(number) => {
            let Some(town) = town(bench, number) else { return };
            ask(replica, async move { towns.destroy_town(&alice, town).await.map(drop) }).await;
        }
        Move::AddRig(number, first) => {
            let Some(town) = town(bench, number) else { return };
            let wish = AddRig {
                town,
                name: if first { "engine" } else { "wheel" }.parse().unwrap(),
                repo: "https://github.com/acme/engine".parse().unwrap(),
                branch: Branch::main(),
                config: serde_json::Map::new(),
            };
            ask(replica, async move { towns.add_rig(&alice, wish).await.map(drop) }).await;
        }
        Move::RemoveRig(number) => {
            let rig = town(bench, number).and_then(|of| bench.store.rows().rigs.iter().find(|r| r.town == of).cloned());
            let Some(rig) = rig else { return };
            let wish = RemoveRig { town: rig.town, rig: rig.id, force: false };
            ask(replica, async move { towns.remove_rig(&alice, wish).await.map(drop) }).await;
        }
        Move::Crash => {
            replica.process.kill();
            *replica = bench.replica();
        }
        Move::Restart => {
            replica.stop.cancel();
            let _ = replica.survives(replica.towns.drained()).await;
            *replica = bench.replica();
        }
        Move::Trouble(nth, fault) => bench.fly.schedule().at(nth, fault),
        Move::LostWrite(nth, fault) => bench.store.schedule().at(nth, fault),
        Move::Sweep => {
            let _ = replica.survives(replica.workers.sweep()).await;
        }
        Move::Wait(seconds) => sleep(Duration::from_secs(seconds)).await,
    }
}

async fn play(moves: Vec<Move>) {
    let bench = Bench::new();
    let case = format!("{moves:?}");
    let mut replica = bench.replica();
    for (made, step) in moves.into_iter().enumerate() {
        make(&bench, &mut replica, made, step).await;
    }
    bench.fly.schedule().calm();
    bench.store.schedule().calm();
    // What is under way at Fly, and callers' own tasks, come to their end.
    sleep(Duration::from_secs(120)).await;
    bench.recover_in(&case).await;
    bench.assert_invariants(&case);
}

#[test]
fn whatever_is_asked_and_whatever_strikes_all_settles_in_the_end() {
    let mut runner = TestRunner::new(Config { cases: 250, failure_persistence: None, ..Config::default() });
    let result = runner.run(&moves(), |moves| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(play(moves));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
