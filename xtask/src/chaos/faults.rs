//! What the simulated Fly does wrong: a fault every few moments, each at one of the next calls of its kind.

use std::time::Duration;

use fly_sim::{Call, Capacity, Effect, Fault, FlySim};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use tokio::time::Instant;

/// Milliseconds between two faults: about one call in fifteen is struck.
const PAUSE: std::ops::RangeInclusive<u64> = 80..=520;
/// Milliseconds by which a call is carried out late.
const LATE: std::ops::RangeInclusive<u64> = 100..=2500;
/// Faults until the whole of Fly is out, on average, and how many calls in a row that lasts.
const PER_OUTAGE: u32 = 60;
const OUTAGE: std::ops::RangeInclusive<u32> = 10..=40;

/// The calls that create; capacity can be lacking.
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
const SANDBOX: [Call; 5] =
    [Call::SandboxHealth, Call::SandboxListRigs, Call::SandboxAddRig, Call::SandboxRemoveRig, Call::SandboxSync];

/// Lists that do not show what there is.
const LIES: [Effect; 2] = [Effect::StaleList, Effect::EmptyList];

/// Puts faults on the schedule until it is time. None of them outlives `fly.clear_faults()`.
pub(super) async fn strike_until(end: Instant, fly: &FlySim, dice: &mut StdRng) {
    loop {
        let pause = Duration::from_millis(dice.random_range(PAUSE));
        if Instant::now() + pause >= end {
            return tokio::time::sleep_until(end).await;
        }
        tokio::time::sleep(pause).await;
        fly.inject(draw(dice));
    }
}

fn draw(dice: &mut StdRng) -> Fault {
    if dice.random_ratio(1, PER_OUTAGE) {
        return Fault::at_any(Effect::refusal(503, "service unavailable")).times(dice.random_range(OUTAGE));
    }
    let (calls, effect) = match dice.random_range(0..100) {
        0..12 => (&CREATES[..], one_of(dice, &Capacity::ALL).effect()),
        12..20 => (&LISTS[..], one_of(dice, &LIES).clone()),
        20..42 => (&CREATES[..], trouble(dice)),
        42..52 => (&LISTS[..], trouble(dice)),
        52..76 => (&OTHERS[..], trouble(dice)),
        76..79 => (&APPS[..], trouble(dice)),
        79..82 => (&[Call::StartMachine][..], Capacity::Host.effect()),
        _ => (&SANDBOX[..], trouble(dice)),
    };
    let call = *one_of(dice, calls);
    // A list that lies for long would be believed: that is what several agreeing looks are worth.
    let times = if LIES.contains(&effect) { 1 } else { dice.random_range(1..=2) };
    Fault::at(call, effect).nth(dice.random_range(1..=2)).times(times)
}

/// What can befall any call.
fn trouble(dice: &mut StdRng) -> Effect {
    match dice.random_range(0..11) {
        0 => Effect::server_error(),
        1 => Effect::refusal(503, "service unavailable"),
        2 => Effect::throttled(),
        3 => Effect::throttled_for(Duration::from_secs(dice.random_range(1..=3))),
        4 => Effect::refusal(408, "request timed out"),
        5 => Effect::ApplyThenAnswer { status: 500, body: json!({ "error": "internal server error" }) },
        6 => Effect::ApplyThenAnswer { status: 408, body: json!({ "error": "request timed out" }) },
        7 => Effect::DropRequest,
        8 | 9 => Effect::DropAnswer,
        _ => Effect::Delay { millis: dice.random_range(LATE) },
    }
}

fn one_of<'a, T>(dice: &mut StdRng, choices: &'a [T]) -> &'a T {
    choices.choose(dice).unwrap_or(&choices[0])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn drawn(seed: u64) -> Vec<Fault> {
        let mut dice = StdRng::seed_from_u64(seed);
        (0..4000).map(|_| draw(&mut dice)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_faults() {
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
    fn a_list_never_lies_twice_in_a_row_by_one_fault() {
        assert!(drawn(3).iter().all(|fault| !LIES.contains(&fault.effect) || fault.times == 1));
    }
}
