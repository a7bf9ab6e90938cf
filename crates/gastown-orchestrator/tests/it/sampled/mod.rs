//! Random schedules: users, processes, faults, and things that happen at Fly by themselves. Once the faults stop, all
//! settles.
//!
//! Everything follows from a seed. `GASTOWN_SEED=123 cargo test -p gastown-orchestrator --test it sampled` plays that one
//! and prints its moves; `GASTOWN_SEEDS=100000` plays so many. What a failure prints is enough to repeat it, and it is
//! printed with the fewest moves that still fail.

mod answers;
mod external_events;
mod figures;
mod regressions;
mod run;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::runner::{in_paused_time, on_all_cores, print_figures};
use figures::Figures;
use run::run;
use steps::{Step, steps_of};

/// How many seeds are played when nobody says otherwise.
const SEEDS: u64 = 10_000;

/// Not more than one seed in so many leaves something for an operator.
const SEEDS_PER_OPERATOR_CASE: usize = 2500;
/// And one in so many something for the orphan sweeper.
const SEEDS_PER_SWEEPER_CASE: usize = 500;

#[test]
fn whatever_is_asked_and_whatever_strikes_all_settles_in_the_end() {
    if let Some(seed) = env_number("GASTOWN_SEED") {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        print_figures(&format!("seed {seed}: {steps:#?}"));
        print_figures(
            &run_caught(seed, &steps).unwrap_or_else(|wrong| panic!("{}", failure(seed, &steps, &wrong))).to_string(),
        );
        return;
    }
    let seeds = env_number("GASTOWN_SEEDS").unwrap_or(SEEDS);
    let runs = on_all_cores(1..=seeds, |seed| {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        run_caught(seed, &steps).map_err(|wrong| (seed, wrong))
    });
    let mut failed: Vec<_> = runs.iter().filter_map(|run| run.as_ref().err()).collect();
    failed.sort();
    if let Some((seed, wrong)) = failed.first() {
        let all: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
        let steps = steps_of(&mut StdRng::seed_from_u64(*seed));
        panic!("{} of {seeds} seeds fail: {all:?}\n{}", all.len(), failure(*seed, &steps, wrong));
    }
    let figures = runs.into_iter().filter_map(Result::ok).fold(Figures::default(), Figures::and);
    print_figures(&format!("sampled: {figures}"));
    assert!(
        figures.left_to_operators <= figures.runs / SEEDS_PER_OPERATOR_CASE,
        "what is left to operators is no rarity: {figures}"
    );
    let left = figures.left_to_sweeper;
    assert!(
        left <= figures.runs.div_ceil(SEEDS_PER_SWEEPER_CASE),
        "what is left to the orphan sweeper is no rarity: {figures}"
    );
    assert_eq!(figures.never_injected(), [], "no storm");
    assert!(figures.keys_refused > 0, "no key was used again: {figures}");
}

#[test]
fn the_same_seed_is_the_same_play() {
    for seed in 1..=20 {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        assert_eq!(steps, steps_of(&mut StdRng::seed_from_u64(seed)));
        assert_eq!(run_caught(seed, &steps), run_caught(seed, &steps), "seed {seed}");
    }
}

fn run_caught(seed: u64, steps: &[Step]) -> Result<Figures, String> {
    let run_caught = catch_unwind(AssertUnwindSafe(|| in_paused_time(run(seed, steps))));
    run_caught.unwrap_or_else(|_| Err("it panicked, as told above".to_owned()))
}

/// What there is to say about a play that fails, and how to repeat it.
fn failure(seed: u64, steps: &[Step], wrong: &str) -> String {
    let minimized = minimized(seed, steps);
    let still_wrong = run_caught(seed, &minimized).err().unwrap_or_default();
    format!(
        "seed {seed}: {wrong}\n\nwith these {} of its {} moves it still fails: {minimized:?}\n{still_wrong}\n\nrepeat it with \
         GASTOWN_SEED={seed} cargo test -p gastown-orchestrator --test it sampled",
        minimized.len(),
        steps.len()
    )
}

/// Leaves out one move after the other, as long as it fails without it.
fn minimized(seed: u64, steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut at = 0;
    while at < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(at);
        if run_caught(seed, &fewer).is_err() {
            (steps, at) = (fewer, 0);
        } else {
            at += 1;
        }
    }
    steps
}

#[expect(clippy::disallowed_methods, reason = "what a test is told by whoever runs it is no setting of the service")]
fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}
