//! Runs many short test cases on all cores, each with its own paused time, and prints their figures.

use std::future::Future;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread::{available_parallelism, scope};

/// Runs every job, one on each core at a time. The results are in no particular order.
pub(crate) fn on_all_cores<J, R>(jobs: impl IntoIterator<Item = J>, work: impl Fn(J) -> R + Sync) -> Vec<R>
where
    J: Send,
    R: Send,
{
    let jobs = Mutex::new(jobs.into_iter().collect::<Vec<_>>().into_iter());
    let results = Mutex::new(Vec::new());
    let next = || jobs.lock().unwrap().next();
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                while let Some(job) = next() {
                    let result = work(job);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// Runs a future on a runtime with paused time.
pub(crate) fn in_paused_time<T>(history: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(history)
}

/// Prints a line to the test log, even if no test fails, and writes it to the folder from which `cargo xtask test`
/// collects figures.
pub(crate) fn print_figures(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    if let Some(folder) = std::env::var_os("TEST_FIGURES") {
        let name: String = line.chars().take_while(|c| *c != ':').filter(char::is_ascii_alphanumeric).collect();
        std::fs::write(std::path::Path::new(&folder).join(name), line).unwrap();
    }
}

/// Formats `1234567` as `1,234,567`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn numbers_are_grouped_by_thousands() {
    assert_eq!([7, 123, 1234, 1_234_567].map(grouped), ["7", "123", "1,234", "1,234,567"]);
}

#[test]
fn every_job_runs_once() {
    let mut squares = on_all_cores(0..100, |number| number * number);
    squares.sort_unstable();
    assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<_>>());
}
