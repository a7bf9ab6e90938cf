//! The tests that take the most time.

use std::cmp::Reverse;
use std::time::Duration;

use super::tally::plain;
use crate::progress::Elapsed;

/// How many are printed.
const SHOWN: usize = 10;

/// A test, or a test program, and how long it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timed {
    name: String,
    took: Duration,
}

/// Returns one line for each of the slowest, slowest first.
pub(super) fn lines<'a>(times: impl Iterator<Item = &'a Timed>) -> Vec<String> {
    let mut times: Vec<_> = times.collect();
    times.sort_by_key(|timed| Reverse(timed.took));
    let shown = times.into_iter().take(SHOWN);
    shown.map(|Timed { name, took }| format!("{:>12}  {name}", Elapsed(*took).to_string())).collect()
}

/// Reads `PASS [   0.030s] ( 1/20) gastown-jwt::it leaks::a_test`. Below the summary nextest repeats what failed.
pub(super) fn of_nextest(log: &str) -> Vec<Timed> {
    let lines = log.lines().map(plain).take_while(|line| !line.trim_start().starts_with("Summary ["));
    lines.filter_map(|line| nextest_line(line.trim_start())).collect()
}

fn nextest_line(line: &str) -> Option<Timed> {
    let (status, rest) = line.split_once(" [")?;
    let (seconds, rest) = rest.split_once("s]")?;
    // `SLOW [> 60.000s]` is printed while the test still runs, and is no number.
    let took = Duration::try_from_secs_f64(seconds.trim().parse().ok()?).ok()?;
    let rest = rest.trim_start();
    let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")).map_or(rest, |(_, name)| name);
    let is_status = status.chars().all(|c| c.is_ascii_uppercase());
    (is_status && !name.is_empty()).then(|| Timed { name: name.to_owned(), took })
}

/// Reads the time of each test program, from `Running …` to `test result: … finished in 1.20s`.
pub(super) fn of_libtest(log: &str) -> Vec<Timed> {
    let (mut times, mut package, mut program) = (Vec::new(), String::new(), String::new());
    for line in log.lines().map(plain) {
        if let Some((unit_tests, rest)) = running(&line) {
            // The programs of `tests/` are all called `it`, and follow the unit tests of their package.
            if unit_tests {
                rest.clone_into(&mut package);
                format!("{package} (unit tests)").clone_into(&mut program);
            } else {
                program = format!("{package} {rest}");
            }
        } else if let Some(name) = line.trim_start().strip_prefix("Doc-tests ") {
            program = format!("{name} (documentation tests)");
        } else if let Some(took) = finished_in(&line) {
            times.push(Timed { name: program.clone(), took });
        }
    }
    times
}

/// Reads `Running unittests src/lib.rs (target/debug/deps/gastown_domain-0f1f)` as true and the name of the program,
/// `Running tests/it/main.rs (…)` as false and the path.
fn running(line: &str) -> Option<(bool, &str)> {
    let (source, program) = line.trim_start().strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    if !source.starts_with("unittests ") {
        return Some((false, source));
    }
    let file = program.rsplit('/').next()?;
    Some((true, file.rsplit_once('-').map_or(file, |(name, _)| name)))
}

fn finished_in(line: &str) -> Option<Duration> {
    let seconds = line.strip_prefix("test result: ")?.rsplit_once("; finished in ")?.1.strip_suffix('s')?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(times: Vec<Timed>) -> Vec<(String, u128)> {
        times.into_iter().map(|timed| (timed.name, timed.took.as_millis())).collect()
    }

    #[test]
    fn nextest_gives_the_time_of_each_test() {
        let log = "   Compiling a v0.1.0 [5s]
        PASS [   0.030s] (  1/120) gastown-jwt::it leaks::one
        SLOW [> 60.000s] (──────) gastown-server::it two
        FAIL [  61.500s] (2/120) gastown-server::it two
\u{1b}[32;1m        PASS\u{1b}[0m [   0.004s] xtask three
     Summary [ 121.030s] 3 tests run: 2 passed, 1 failed, 0 skipped
        FAIL [  61.500s] (2/120) gastown-server::it two";
        let want = [("gastown-jwt::it leaks::one", 30), ("gastown-server::it two", 61_500), ("xtask three", 4)];
        assert_eq!(read(of_nextest(log)), want.map(|(name, took)| (name.to_owned(), took)));
    }

    #[test]
    fn libtest_gives_the_time_of_each_program() {
        let log = "     Running unittests src/lib.rs (target/debug/deps/gastown_domain-0f1f)
test plan::tests::one ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.25s
     Running tests/it/main.rs (target/debug/deps/it-2a2b)
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 12.00s
   Doc-tests gastown_http
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
all doctests ran in 0.20s; merged doctests compilation took 0.19s";
        let want = [
            ("gastown_domain (unit tests)", 250),
            ("gastown_domain tests/it/main.rs", 12_000),
            ("gastown_http (documentation tests)", 500),
        ];
        assert_eq!(read(of_libtest(log)), want.map(|(name, took)| (name.to_owned(), took)));
    }

    #[test]
    fn the_slowest_come_first_and_the_rest_is_left_out() {
        let times: Vec<_> =
            (0..20_u64).map(|n| Timed { name: format!("t{n}"), took: Duration::from_secs(n) }).collect();
        let lines = lines(times.iter());
        assert_eq!(lines.len(), SHOWN);
        assert_eq!(lines[0], "      19.0 s  t19");
    }
}
