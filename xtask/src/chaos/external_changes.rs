//! Changes on Fly from outside: machines end, are stopped or destroyed, and volumes are lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fly_sim::{Death, FlySim, MachineSnapshot};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use super::ledger::Ledger;

/// Milliseconds between two changes. More frequent losses would trip the circuit breaker of the inspection.
const PAUSE: std::ops::RangeInclusive<u64> = 2000..=6000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The machine ends, stops or is destroyed.
    Machine(Death),
    /// The volume is lost, and the machine ends with it.
    Volume,
}

/// Changes a random machine every few seconds until `end`, and records each change in the ledger.
pub(super) async fn apply_until(end: Instant, fly: &FlySim, rng: &mut StdRng, ledger: &Mutex<Ledger>) {
    loop {
        let pause = Duration::from_millis(rng.random_range(PAUSE));
        if Instant::now() + pause >= end {
            return tokio::time::sleep_until(end).await;
        }
        tokio::time::sleep(pause).await;
        let change = draw(rng);
        if let Some(machine) = fly.machines().choose(rng) {
            apply(fly, machine, change, ledger);
        }
    }
}

fn draw(rng: &mut StdRng) -> Change {
    match rng.random_range(0..10) {
        0..4 => Change::Machine(Death::Stopped),
        4..6 => Change::Machine(Death::Process),
        6..8 => Change::Machine(Death::Destroyed),
        8 => Change::Machine(Death::Forgotten),
        _ => Change::Volume,
    }
}

fn apply(fly: &FlySim, machine: &MachineSnapshot, change: Change, ledger: &Mutex<Ledger>) {
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = &mut ledger.external;
    match change {
        Change::Machine(death) => {
            if fly.kill_machine(&machine.id, death) {
                changes.machines += 1;
                if matches!(death, Death::Destroyed | Death::Forgotten) {
                    changes.towns_without_machine.extend(machine.metadata.get("gastown_town_id").cloned());
                }
            }
        }
        Change::Volume => {
            if let Some(volume) = machine.volume.as_ref().filter(|volume| fly.lose_volume(volume)) {
                changes.volumes.insert(volume.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_change_is_drawn_and_a_seed_repeats_its_draws() {
        let drawn = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..300).map(|_| draw(&mut rng)).collect::<Vec<_>>()
        };
        for death in [Death::Stopped, Death::Process, Death::Destroyed, Death::Forgotten] {
            assert!(drawn(1).contains(&Change::Machine(death)), "{death:?}");
        }
        assert!(drawn(1).contains(&Change::Volume));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
