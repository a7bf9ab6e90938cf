//! Anything at any time: users at two replicas, a Fly that fails at random, crashes. Once it is quiet, all is well.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::stage::{ALICE, Setup, Stage};

on_both! {
    after_a_storm_every_machine_is_accounted_for_seed_1,
    after_a_storm_every_machine_is_accounted_for_seed_2,
}

/// Rounds of calls that are made at once; a replica crashes after each fourth.
const ROUNDS: usize = 12;
/// Calls of a round.
const AT_ONCE: usize = 6;
/// What a refused call may be refused with. No failure of Fly is an error of ours.
const REFUSALS: [&str; 7] = [
    "CONFLICT",
    "NOT_FOUND",
    "SERVICE_UNAVAILABLE",
    "BAD_GATEWAY",
    "GATEWAY_TIMEOUT",
    "UNPROCESSABLE_CONTENT",
    "TIMEOUT",
];

async fn after_a_storm_every_machine_is_accounted_for_seed_1(setup: Setup) -> Stage {
    storm(setup, 1).await
}

async fn after_a_storm_every_machine_is_accounted_for_seed_2(setup: Setup) -> Stage {
    storm(setup, 2).await
}

async fn storm(mut setup: Setup, seed: u64) -> Stage {
    setup.policy.caller_wait = Duration::from_millis(150);
    setup.policy.lease = Duration::from_millis(1500);
    setup.policy.look_again = Duration::from_millis(30);
    let mut stage = setup.raise().await;
    stage.add_replica().await;
    let mut dice = StdRng::seed_from_u64(seed);
    for round in 0..ROUNDS {
        for _ in 0..4 {
            stage.sim.inject(fault(&mut dice));
        }
        let calls: Vec<_> = join_all((0..AT_ONCE).map(|_| call(&stage, dice.random()))).await;
        let answers = join_all(
            calls.into_iter().enumerate().map(|(n, (procedure, input))| stage.call_at(n % 2, ALICE, procedure, input)),
        );
        for refused in answers.await.into_iter().filter_map(Result::err) {
            assert!(REFUSALS.contains(&refused.code.as_str()), "round {round}: {refused:?}");
        }
        if round % 4 == 3 {
            // What it drove is taken over when its lease has run out.
            stage.crash().await;
            stage.add_replica().await;
        }
    }
    stage.sim.clear_faults();
    let faulted = stage.sim.calls().iter().filter(|record| record.faulted).count();
    assert!(faulted >= 3, "no storm: {faulted} faults");
    stage
}

/// Something goes wrong at one of the next calls.
fn fault(dice: &mut StdRng) -> Fault {
    let calls = [
        Call::CreateVolume,
        Call::CreateMachine,
        Call::GetMachine,
        Call::StartMachine,
        Call::StopMachine,
        Call::UpdateMachine,
        Call::DeleteMachine,
        Call::DeleteVolume,
        Call::ListMachines,
        Call::ListVolumes,
        Call::Wait,
        Call::SandboxHealth,
        Call::SandboxSync,
        Call::SandboxAddRig,
    ];
    let effects = [
        Effect::throttled(),
        Effect::server_error(),
        Effect::DropRequest,
        Effect::DropAnswer,
        Effect::Delay { millis: 40 },
        Effect::ApplyThenAnswer { status: 503, body: Value::Null },
    ];
    let call = calls[dice.random_range(0..calls.len())];
    let effect = effects[dice.random_range(0..effects.len())].clone();
    Fault::at(call, effect).nth(dice.random_range(1..4)).times(dice.random_range(1..4))
}

/// A call that a user might make now.
async fn call(stage: &Stage, chance: u32) -> (&'static str, Value) {
    let towns: Vec<_> = stage.rows.towns().await.into_iter().filter(|town| town.destroyed_at.is_none()).collect();
    let name = ["mill", "inn", "forge"][(chance / 16 % 3) as usize];
    let Some(town) = towns.get((chance / 64) as usize % 4) else {
        return ("createTown", json!({ "townName": name }));
    };
    let of_town = json!({ "townId": town.id });
    match chance % 8 {
        0 | 1 => ("stopTown", of_town),
        2 | 3 => ("startTown", of_town),
        4 => ("destroyTown", of_town),
        5 => ("getTownStatus", of_town),
        6 => ("createTown", json!({ "townName": name })),
        _ => {
            let repo = "https://github.com/acme/app";
            ("addRig", json!({"townId": town.id, "rigName": format!("rig_{}", chance % 5), "repoUrl": repo}))
        }
    }
}
