//! Runs a target with its corpus and with mutations of it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::corpus;
use crate::mutate::mutate;
use crate::targets::{Outcome, Run, Target};

/// The most failures that a run collects before it ends.
const MAX_FAILURES: usize = 5;
/// The most inputs that a run adds to its corpus.
const MAX_ADDED: usize = 2000;

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// After this time.
    Time(Duration),
    /// After this number of mutated inputs.
    Inputs(u64),
}

/// An input that breaks a rule.
#[derive(Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// The rule and how it was broken.
    pub problem: String,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// All inputs, with those of the corpus.
    pub inputs: u64,
    /// The different behaviours that were seen.
    pub behaviours: usize,
    /// The largest number of bytes that were allocated at once, and the length of that input.
    pub peak: (u64, usize),
    /// The failures, at most five.
    pub failures: Vec<Failure>,
}

/// Runs the corpus, then mutations of it.
///
/// Errors: the corpus cannot be read.
pub fn run(target: &Target, limit: Limit, seed: u64) -> anyhow::Result<Report> {
    let mut inputs = corpus::read(target.name)?;
    let (mut report, mut behaviours) = (Report::default(), BTreeSet::new());
    let mut run = (target.start)()?;
    for input in &inputs {
        if let Some(label) = report.check(target, &mut run, input) {
            behaviours.insert(label);
        }
    }
    let (mut rng, begun, first) = (StdRng::seed_from_u64(seed), Instant::now(), inputs.len());
    let mut mutated = 0;
    while report.failures.len() < MAX_FAILURES && !is_over(limit, begun, mutated) {
        let input = mutate(&mut rng, &inputs, target.words);
        mutated += 1;
        let label = report.check(target, &mut run, &input);
        if label.is_some_and(|label| behaviours.insert(label)) && inputs.len() < first + MAX_ADDED {
            inputs.push(input);
        }
    }
    report.behaviours = behaviours.len();
    Ok(report)
}

fn is_over(limit: Limit, begun: Instant, inputs: u64) -> bool {
    match limit {
        Limit::Time(time) => begun.elapsed() >= time,
        Limit::Inputs(most) => inputs >= most,
    }
}

impl Report {
    /// Runs one input and returns the label of its behaviour, unless it fails.
    fn check(&mut self, target: &Target, run: &mut Run, input: &[u8]) -> Option<String> {
        self.inputs += 1;
        let mut outcome: Option<Outcome> = None;
        let allocated = allocation_counter::measure(|| {
            outcome = Some(catch_unwind(AssertUnwindSafe(|| run(input))).unwrap_or_else(|_| Err("panic".to_owned())));
        });
        if allocated.bytes_max > self.peak.0 {
            self.peak = (allocated.bytes_max, input.len());
        }
        let problem = match outcome? {
            Err(problem) => problem,
            Ok(_) if allocated.bytes_max > target.memory(input.len()) => {
                format!("allocates {} bytes for an input of {}", allocated.bytes_max, input.len())
            }
            Ok(label) => return Some(label),
        };
        self.failures.push(Failure { input: input.to_vec(), problem });
        None
    }
}
