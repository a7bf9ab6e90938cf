//! The faults of the simulated Fly: one every few hundred milliseconds, each at one of the next calls of its kind.

use std::time::Duration;

use fly_sim::{Call, Capacity, Effect, Fault, FlySim};
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_HEALTH, SANDBOX_LIST_RIGS, SANDBOX_REMOVE_RIG, SANDBOX_SYNC};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use tokio::time::Instant;

/// Milliseconds between two faults, which then hit about one call in fifteen.
const PAUSE: std::ops::RangeInclusive<u64> = 80..=520;
/// Milliseconds by which a call is delayed.
const DELAY: std::ops::RangeInclusive<u64> = 100..=2500;
/// One fault in so many is an outage of all of Fly, which lasts for `OUTAGE` calls in a row.
const PER_OUTAGE: u32 = 60;
const OUTAGE: std::ops::RangeInclusive<u32> = 10..=40;

/// The calls that can fail for lack of capacity.
const CREATES: [Call; 2] = [Call::CreateMachine, Call::CreateVolume];
const LISTS: [Call; 2] = [Call::ListMachines, Call::ListVolumes];
const OTHERS: [Call; 7] = [
    Call::GetMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::Wait,
    Call::DeleteVolume,
];
const APPS: [Call; 2] = [Call::CreateApp, Call::GetApp];
const SANDBOX: [Call; 5] = [SANDBOX_HEALTH, SANDBOX_LIST_RIGS, SANDBOX_ADD_RIG, SANDBOX_REMOVE_RIG, SANDBOX_SYNC];

/// Lists that are not true.
const FALSE_LISTS: [Effect; 2] = [Effect::StaleList, Effect::EmptyList];

/// Injects faults until `end`. `fly.clear_faults()` removes those that have not struck yet.
pub(super) async fn inject_until(end: Instant, fly: &FlySim, rng: &mut StdRng) {
    loop {
        let pause = Duration::from_millis(rng.random_range(PAUSE));
        if Instant::now() + pause >= end {
            return tokio::time::sleep_until(end).await;
        }
        tokio::time::sleep(pause).await;
        fly.inject(draw(rng));
    }
}

fn draw(rng: &mut StdRng) -> Fault {
    if rng.random_ratio(1, PER_OUTAGE) {
        return Fault::at_any(Effect::refusal(503, "service unavailable")).times(rng.random_range(OUTAGE));
    }
    let (calls, effect) = match rng.random_range(0..100) {
        0..12 => (&CREATES[..], one_of(rng, &Capacity::ALL).effect()),
        12..20 => (&LISTS[..], one_of(rng, &FALSE_LISTS).clone()),
        20..42 => (&CREATES[..], any_effect(rng)),
        42..52 => (&LISTS[..], any_effect(rng)),
        52..76 => (&OTHERS[..], any_effect(rng)),
        76..79 => (&APPS[..], any_effect(rng)),
        79..82 => (&[Call::StartMachine][..], Capacity::Host.effect()),
        _ => (&SANDBOX[..], any_effect(rng)),
    };
    let call = *one_of(rng, calls);
    // A list that is false several times in a row counts as proof, because only so many agreeing reads are required.
    let times = if FALSE_LISTS.contains(&effect) { 1 } else { rng.random_range(1..=2) };
    Fault::at(call, effect).nth(rng.random_range(1..=2)).times(times)
}

/// Draws a fault that can hit any call.
fn any_effect(rng: &mut StdRng) -> Effect {
    match rng.random_range(0..11) {
        0 => Effect::server_error(),
        1 => Effect::refusal(503, "service unavailable"),
        2 => Effect::throttled(),
        3 => Effect::throttled_for(Duration::from_secs(rng.random_range(1..=3))),
        4 => Effect::refusal(408, "request timed out"),
        5 => Effect::ApplyThenAnswer { status: 500, body: json!({ "error": "internal server error" }) },
        6 => Effect::ApplyThenAnswer { status: 408, body: json!({ "error": "request timed out" }) },
        7 => Effect::DropRequest,
        8 | 9 => Effect::DropAnswer,
        _ => Effect::Delay { millis: rng.random_range(DELAY) },
    }
}

fn one_of<'a, T>(rng: &mut StdRng, choices: &'a [T]) -> &'a T {
    choices.choose(rng).unwrap_or(&choices[0])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn drawn(seed: u64) -> Vec<Fault> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..4000).map(|_| draw(&mut rng)).collect()
    }

    #[test]
    fn a_seed_repeats_its_faults() {
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn every_call_and_every_kind_of_fault_is_drawn() {
        let faults = drawn(1);
        for call in CREATES.iter().chain(&LISTS).chain(&OTHERS).chain(&APPS).chain(&SANDBOX) {
            assert!(faults.iter().any(|fault| fault.call == Some(*call)), "{call:?}");
        }
        let statuses = |wanted: u16| move |fault: &Fault| matches!(fault.effect, Effect::Answer { status, .. } if status == wanted);
        for status in [408, 409, 412, 422, 500, 503] {
            assert!(faults.iter().any(statuses(status)), "{status}");
        }
        for effect in
            [Effect::DropRequest, Effect::DropAnswer, Effect::throttled(), Effect::StaleList, Effect::EmptyList]
        {
            assert!(faults.iter().any(|fault| fault.effect == effect), "{effect:?}");
        }
        assert!(faults.iter().any(|fault| matches!(fault.effect, Effect::Delay { .. })));
        assert!(faults.iter().any(|fault| fault.call.is_none() && fault.times >= 10), "an outage");
    }

    #[test]
    fn one_fault_makes_a_list_false_only_once() {
        assert!(drawn(3).iter().all(|fault| !FALSE_LISTS.contains(&fault.effect) || fault.times == 1));
    }
}
