//! What happens behind everybody's back: machines end, are stopped, or are gone; now and then a volume is lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fly_sim::{Death, FlySim, MachineSnapshot};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use super::ledger::Ledger;

/// Milliseconds between two of them. Few: where much is gone at once, no absence is believed.
const PAUSE: std::ops::RangeInclusive<u64> = 2000..=6000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// What becomes of the machine itself.
    Machine(Death),
    /// Its volume is lost; the machine ends with it.
    Volume,
}

/// Does mischief to a random machine every few seconds, until it is time; the ledger says to which.
pub(super) async fn trouble_until(end: Instant, fly: &FlySim, dice: &mut StdRng, ledger: &Mutex<Ledger>) {
    loop {
        let pause = Duration::from_millis(dice.random_range(PAUSE));
        if Instant::now() + pause >= end {
            return tokio::time::sleep_until(end).await;
        }
        tokio::time::sleep(pause).await;
        let mishap = draw(dice);
        if let Some(machine) = fly.machines().choose(dice) {
            befall(fly, machine, mishap, ledger);
        }
    }
}

fn draw(dice: &mut StdRng) -> Mishap {
    match dice.random_range(0..10) {
        0..4 => Mishap::Machine(Death::Stopped),
        4..6 => Mishap::Machine(Death::Process),
        6..8 => Mishap::Machine(Death::Destroyed),
        8 => Mishap::Machine(Death::Forgotten),
        _ => Mishap::Volume,
    }
}

fn befall(fly: &FlySim, machine: &MachineSnapshot, mishap: Mishap, ledger: &Mutex<Ledger>) {
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let done = &mut ledger.mischief;
    match mishap {
        Mishap::Machine(death) => {
            if fly.kill_machine(&machine.id, death) {
                done.machines += 1;
                if matches!(death, Death::Destroyed | Death::Forgotten) {
                    done.bereft.extend(machine.metadata.get("gastown_town_id").cloned());
                }
            }
        }
        Mishap::Volume => {
            if let Some(volume) = machine.volume.as_ref().filter(|volume| fly.lose_volume(volume)) {
                done.volumes.insert(volume.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_mishap_is_drawn_and_the_same_seed_draws_the_same() {
        let drawn = |seed| {
            let mut dice = StdRng::seed_from_u64(seed);
            (0..300).map(|_| draw(&mut dice)).collect::<Vec<_>>()
        };
        for death in [Death::Stopped, Death::Process, Death::Destroyed, Death::Forgotten] {
            assert!(drawn(1).contains(&Mishap::Machine(death)), "{death:?}");
        }
        assert!(drawn(1).contains(&Mishap::Volume));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
