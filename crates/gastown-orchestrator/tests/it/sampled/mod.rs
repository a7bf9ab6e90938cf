//! Random schedules: users, processes, faults, and things that happen at Fly by themselves. Once the faults stop, all
//! settles.
//!
//! Everything follows from a seed. `GASTOWN_SEED=123 cargo test -p gastown-orchestrator --test it sampled` plays that one
//! and prints its moves; `GASTOWN_SEEDS=100000` plays so many. What a failure prints is enough to repeat it, and it is
//! printed with the fewest moves that still fail.

mod answers;
mod figures;
mod mischief;
mod moves;
mod play;
mod regressions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::cores::{in_paused_time, on_all_cores, say};
use figures::Figures;
use moves::{Move, moves_of};
use play::play;

/// How many seeds are played when nobody says otherwise.
const SEEDS: u64 = 10_000;

/// Not more than one seed in so many leaves something for an operator.
const SELDOM: usize = 2500;
/// And one in so many something for the orphan sweeper.
const RARELY: usize = 500;

#[test]
fn whatever_is_asked_and_whatever_strikes_all_settles_in_the_end() {
    if let Some(seed) = told("GASTOWN_SEED") {
        let moves = moves_of(&mut StdRng::seed_from_u64(seed));
        say(&format!("seed {seed}: {moves:#?}"));
        say(&played(seed, &moves).unwrap_or_else(|wrong| panic!("{}", failure(seed, &moves, &wrong))).to_string());
        return;
    }
    let seeds = told("GASTOWN_SEEDS").unwrap_or(SEEDS);
    let plays = on_all_cores(1..=seeds, |seed| {
        let moves = moves_of(&mut StdRng::seed_from_u64(seed));
        played(seed, &moves).map_err(|wrong| (seed, wrong))
    });
    let mut failed: Vec<_> = plays.iter().filter_map(|play| play.as_ref().err()).collect();
    failed.sort();
    if let Some((seed, wrong)) = failed.first() {
        let all: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
        let moves = moves_of(&mut StdRng::seed_from_u64(*seed));
        panic!("{} of {seeds} seeds fail: {all:?}\n{}", all.len(), failure(*seed, &moves, wrong));
    }
    let figures = plays.into_iter().filter_map(Result::ok).fold(Figures::default(), Figures::and);
    say(&format!("sampled: {figures}"));
    assert!(figures.left_to_operators <= figures.plays / SELDOM, "what is left to operators is no rarity: {figures}");
    let left = figures.left_to_the_sweeper;
    assert!(left <= figures.plays.div_ceil(RARELY), "what is left to the orphan sweeper is no rarity: {figures}");
    assert_eq!(figures.never_struck(), [], "no storm");
    assert!(figures.keys_refused > 0, "no key was used again: {figures}");
}

#[test]
fn the_same_seed_is_the_same_play() {
    for seed in 1..=20 {
        let moves = moves_of(&mut StdRng::seed_from_u64(seed));
        assert_eq!(moves, moves_of(&mut StdRng::seed_from_u64(seed)));
        assert_eq!(played(seed, &moves), played(seed, &moves), "seed {seed}");
    }
}

fn played(seed: u64, moves: &[Move]) -> Result<Figures, String> {
    let played = catch_unwind(AssertUnwindSafe(|| in_paused_time(play(seed, moves))));
    played.unwrap_or_else(|_| Err("it panicked, as told above".to_owned()))
}

/// What there is to say about a play that fails, and how to repeat it.
fn failure(seed: u64, moves: &[Move], wrong: &str) -> String {
    let fewest = fewest(seed, moves);
    let still_wrong = played(seed, &fewest).err().unwrap_or_default();
    format!(
        "seed {seed}: {wrong}\n\nwith these {} of its {} moves it still fails: {fewest:?}\n{still_wrong}\n\nrepeat it with \
         GASTOWN_SEED={seed} cargo test -p gastown-orchestrator --test it sampled",
        fewest.len(),
        moves.len()
    )
}

/// Leaves out one move after the other, as long as it fails without it.
fn fewest(seed: u64, moves: &[Move]) -> Vec<Move> {
    let mut moves = moves.to_vec();
    let mut at = 0;
    while at < moves.len() {
        let mut fewer = moves.clone();
        fewer.remove(at);
        if played(seed, &fewer).is_err() {
            (moves, at) = (fewer, 0);
        } else {
            at += 1;
        }
    }
    moves
}

#[expect(clippy::disallowed_methods, reason = "what a test is told by whoever runs it is no setting of the service")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}
