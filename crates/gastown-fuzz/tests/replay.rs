//! Every target with its corpus and with a few thousand mutations, always the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use gastown_fuzz::{Limit, all, run};

fn holds(name: &str, inputs: u64) {
    let target = all().into_iter().find(|target| target.name == name).unwrap();
    let report = run(&target, Limit::Inputs(inputs), 7).unwrap();
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|failure| {
            (failure.problem.as_str(), String::from_utf8_lossy(&failure.input).chars().take(300).collect::<String>())
        })
        .collect();
    assert_eq!(failures, []);
    // A target that behaves in one way only is not reached by its inputs.
    assert!(report.inputs > inputs && report.behaviours >= 3, "{report:?}");
}

macro_rules! replays {
    ($($name:ident: $inputs:literal,)+) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name), $inputs);
        })+

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = all().iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

replays! {
    trpc: 1500,
    json: 1500,
    names: 5000,
    repos: 5000,
    branches: 5000,
    fly: 1000,
    sandbox: 200,
    tokens: 2000,
    sealed: 2000,
    stored: 5000,
    settings: 1000,
}
