//! Random schedules of users, processes, faults and external events. Everything recovers after the last fault.
//!
//! A run follows from its seed. `GASTOWN_SEED=123 cargo test -p gastown-orchestrator --test it sampled` runs that seed
//! and prints its steps. `GASTOWN_SEEDS=100000` runs that many seeds. A failure prints how to repeat it, with the
//! fewest steps that still fail.

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

/// The default number of seeds.
const SEEDS: u64 = 10_000;

/// At most one seed in this many may leave something for an operator.
const SEEDS_PER_OPERATOR_CASE: usize = 2500;
/// At most one seed in this many may leave something for the orphan sweeper.
const SEEDS_PER_SWEEPER_CASE: usize = 500;

#[test]
fn random_requests_and_faults_recover() {
    if let Some(seed) = env_number("GASTOWN_SEED") {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        print_figures(&format!("seed {seed}: {steps:#?}"));
        print_figures(
            &run_caught(seed, &steps)
                .unwrap_or_else(|violations| panic!("{}", failure(seed, &steps, &violations)))
                .to_string(),
        );
        return;
    }
    let seeds = env_number("GASTOWN_SEEDS").unwrap_or(SEEDS);
    let runs = on_all_cores(1..=seeds, |seed| {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        run_caught(seed, &steps).map_err(|violations| (seed, violations))
    });
    let mut failed: Vec<_> = runs.iter().filter_map(|run| run.as_ref().err()).collect();
    failed.sort();
    if let Some((seed, violations)) = failed.first() {
        let all: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
        let steps = steps_of(&mut StdRng::seed_from_u64(*seed));
        panic!("{} of {seeds} seeds fail: {all:?}\n{}", all.len(), failure(*seed, &steps, violations));
    }
    let figures = runs.into_iter().filter_map(Result::ok).fold(Figures::default(), Figures::merge);
    print_figures(&format!("sampled: {figures}"));
    assert!(
        figures.left_to_operators <= figures.runs / SEEDS_PER_OPERATOR_CASE,
        "too many runs left something for operators: {figures}"
    );
    let left = figures.left_to_sweeper;
    assert!(
        left <= figures.runs.div_ceil(SEEDS_PER_SWEEPER_CASE),
        "too many runs left something for the orphan sweeper: {figures}"
    );
    assert_eq!(figures.never_injected(), [], "faults that were never injected");
    assert!(figures.keys_refused > 0, "no key was reused: {figures}");
    assert!(figures.has_touched(), "no rollout touched a town: {figures}");
}

#[test]
fn same_seed_gives_same_run() {
    for seed in 1..=20 {
        let steps = steps_of(&mut StdRng::seed_from_u64(seed));
        assert_eq!(steps, steps_of(&mut StdRng::seed_from_u64(seed)));
        assert_eq!(run_caught(seed, &steps), run_caught(seed, &steps), "seed {seed}");
    }
}

fn run_caught(seed: u64, steps: &[Step]) -> Result<Figures, String> {
    let result = catch_unwind(AssertUnwindSafe(|| in_paused_time(run(seed, steps))));
    result.unwrap_or_else(|_| Err("the run panicked (details above)".to_owned()))
}

/// Describes a failed run and how to repeat it.
fn failure(seed: u64, steps: &[Step], violations: &str) -> String {
    let minimized = minimized(seed, steps);
    let remaining = run_caught(seed, &minimized).err().unwrap_or_default();
    format!(
        "seed {seed}: {violations}\n\nit still fails with {} of its {} steps: {minimized:?}\n{remaining}\n\nrepeat it with \
         GASTOWN_SEED={seed} cargo test -p gastown-orchestrator --test it sampled",
        minimized.len(),
        steps.len()
    )
}

/// Removes one step after the other as long as the run still fails.
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

#[expect(clippy::disallowed_methods, reason = "the seed of a test run is not a setting of the service")]
fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}
