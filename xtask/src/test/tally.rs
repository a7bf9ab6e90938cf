use std::iter::Sum;
use std::ops::Add;

/// The counts of tests or checks that passed, failed, or were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Adds up lines such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`. There is one for
/// each test binary and for the documentation of each crate.
pub(super) fn of_libtest(log: &str) -> Tally {
    log.lines().filter_map(|line| libtest_result(&plain(line))).sum()
}

fn libtest_result(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    Some(counts.split("; ").filter_map(counted).sum())
}

/// Reads `Summary [   0.03s] 7/10 tests run: 5 passed (1 slow), 1 failed, 1 timed out, 3 skipped`, the one line at the
/// end for all binaries. Lines of single tests may hold any text and do not count.
pub(super) fn of_nextest(log: &str) -> Tally {
    log.lines().rev().find_map(|line| nextest_summary(&plain(line))).unwrap_or_default()
}

fn nextest_summary(line: &str) -> Option<Tally> {
    let counts = line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?.1;
    Some(outside_parentheses(counts).split(", ").filter_map(counted).sum())
}

/// Reads `3 passed`.
fn counted(part: &str) -> Option<Tally> {
    let (number, what) = part.trim().split_once(' ')?;
    let number = number.parse().ok()?;
    let none = Tally::default();
    match what.trim() {
        "passed" => Some(Tally { passed: number, ..none }),
        "failed" | "timed out" | "exec failed" => Some(Tally { failed: number, ..none }),
        "ignored" | "skipped" => Some(Tally { skipped: number, ..none }),
        _ => None,
    }
}

/// Removes the details of nextest, as in `5 passed (1 slow, 2 leaky)`.
fn outside_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = text.chars().filter(|c| {
        depth += usize::from(*c == '(');
        let keep = depth == 0;
        depth -= usize::from(*c == ')' && depth > 0);
        keep
    });
    outside.collect()
}

/// Removes the colours of a terminal.
pub(super) fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = escape.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn the_results_of_all_test_binaries_are_added_up() {
        let log = "
     Running unittests src/lib.rs (target/debug/deps/a-1)
test names::tests::a_result ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s
test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
   Doc-tests a
\u{1b}[0mtest result: \u{1b}[32mok\u{1b}[0m. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s
all doctests ran in 0.20s; merged doctests compilation took 0.19s";
        assert_eq!(of_libtest(log), tally(15, 3, 1));
    }

    #[test]
    fn output_of_a_test_is_not_counted_as_a_result() {
        for line in ["    test result: ok. 5 passed; 0 failed", "the test result: ok. 5 passed", "test result: odd"] {
            assert_eq!(of_libtest(line), Tally::default(), "{line}");
        }
    }

    #[test]
    fn the_summary_of_nextest_is_counted_once() {
        for (summary, want) in [
            ("     Summary [   0.030s] 10 tests run: 10 passed, 0 skipped", tally(10, 0, 0)),
            ("     Summary [ 121.030s] 10 tests run: 9 passed (1 slow, 2 leaky), 1 failed, 2 skipped", tally(9, 1, 2)),
            (
                "     Summary [   2.000s] 7/10 tests run: 5 passed, 1 timed out, 1 exec failed, 3 skipped",
                tally(5, 2, 3),
            ),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed, 0 skipped",
                tally(2, 0, 0),
            ),
        ] {
            let log = format!("    test result: FAILED. 0 passed; 1 failed; 0 ignored\n{summary}\n");
            assert_eq!(of_nextest(&log), want, "{summary}");
        }
    }

    #[test]
    fn a_log_without_results_counts_nothing() {
        assert_eq!(of_libtest("error: could not compile `a`"), Tally::default());
        assert_eq!(of_nextest("error: could not compile `a`"), Tally::default());
    }
}
