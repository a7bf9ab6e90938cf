//! The part of a long log that shows why a step failed.

/// Lines that are shown of failed tests. The log has all of them.
const MAX_LINES: usize = 300;
/// Lines at the end of a log without known errors.
const TAIL: usize = 80;
/// Lines about failed tests that are added from the part that is left out.
const MAX_NAMED: usize = 60;
/// Lines of a panic message that are added with it.
const MESSAGE_LINES: usize = 3;
/// Characters of such a line. An asserted value may be very long.
const MAX_WIDTH: usize = 600;

/// Returns the output of the failed tests. Without any, returns the log from the first compiler error, or its end.
pub(super) fn of_failure(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    // Nextest prints the output of failed tests below its summary.
    let summary = lines.iter().rposition(|line| line.trim_start().starts_with("Summary ["));
    let error = lines.iter().position(|line| line.starts_with("error"));
    let failures = failed_tests(log);
    let (lines, most) = match (summary, error) {
        (Some(summary), _) => (&lines[summary..], MAX_LINES),
        (None, _) if !failures.is_empty() => (&failures[..], MAX_LINES),
        (None, Some(error)) => (&lines[error..], MAX_LINES),
        (None, None) => (&lines[..], TAIL),
    };
    let left_out = lines.len().saturating_sub(most);
    let shown = lines[left_out..].join("\n");
    if left_out == 0 {
        return shown;
    }
    let mut parts = vec![format!("({left_out} more lines in the log)"), shown];
    parts.extend(named(&lines[..left_out]));
    parts.join("\n")
}

/// Returns the names and first messages of failed tests from lines that are left out. The log of a failed test is often
/// longer than the limit and would hide its message.
fn named<'log>(lines: &[&'log str]) -> Option<String> {
    let mut kept: Vec<&'log str> = Vec::new();
    let mut wanted = 0;
    for line in lines {
        if line.trim_start().starts_with("FAIL [") || line.starts_with("---- ") {
            wanted = 1;
        } else if line.contains(" panicked at ") {
            wanted = 1 + MESSAGE_LINES;
        }
        if wanted > 0 && kept.len() < MAX_NAMED {
            kept.push(line.char_indices().nth(MAX_WIDTH).map_or(line, |(end, _)| &line[..end]));
            wanted -= 1;
        }
    }
    (!kept.is_empty()).then(|| format!("failures above:\n{}", kept.join("\n")))
}

/// Returns the lines from each `failures:` to the result of its test binary.
fn failed_tests(log: &str) -> Vec<&str> {
    let mut shown = Vec::new();
    let mut inside = false;
    for line in log.lines() {
        let ends = line.starts_with("test result: ");
        inside = inside || line == "failures:";
        if inside {
            shown.push(line);
        }
        inside = inside && !ends;
    }
    shown
}

/// Returns the last line with text, which shows the progress of a program.
pub(super) fn last_line(log: &str) -> &str {
    log.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_an_early_binary_are_not_lost_behind_later_ones() {
        let log = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nleft: 1\n\nfailures:\n    a\n\n\
                   test result: FAILED. 0 passed; 1 failed\n     Running b\ntest b ... ok\ntest result: ok. 1 passed";
        let shown = of_failure(log);
        assert!(shown.starts_with("failures:\n\n---- a stdout ----\nleft: 1"), "{shown}");
        assert!(shown.ends_with("test result: FAILED. 0 passed; 1 failed"), "{shown}");
    }

    #[test]
    fn nextest_output_is_shown_from_its_summary() {
        let log = "        FAIL [0.1s] a\n    PASS b\n     Summary [ 0.9s] 2 tests run: 1 passed, 1 failed\n  stdout ---\n\
                   left: 1\nerror: test run failed";
        let shown = of_failure(log);
        assert!(shown.starts_with("     Summary [") && shown.ends_with("left: 1\nerror: test run failed"), "{shown}");
    }

    #[test]
    fn a_failure_with_a_long_log_is_still_named() {
        let chatter = "  DEBUG planned\n".repeat(MAX_LINES + 1);
        let log = format!(
            "     Summary [ 0.9s] 2 tests run: 1 passed, 1 failed\n        FAIL [   0.1s] (2/2) it a\n  stderr ---\n    thread 'a' \
             (7) panicked at a.rs:1:2:\n    left: 1\n{chatter}error: test run failed"
        );
        let shown = of_failure(&log);
        let end = "error: test run failed\nfailures above:\n        FAIL [   0.1s] (2/2) it a\n    thread 'a' (7) panicked at \
                   a.rs:1:2:\n    left: 1\n  DEBUG planned\n  DEBUG planned";
        assert!(shown.contains(end), "{shown}");
    }

    #[test]
    fn a_build_is_shown_from_its_first_error() {
        let log = "   Compiling a\nerror[E0308]: mismatched types\n  --> a.rs\nerror: could not compile `a`";
        assert_eq!(of_failure(log), log.trim_start_matches("   Compiling a\n"));
    }

    #[test]
    fn a_log_without_errors_is_shown_from_its_end() {
        let lines: Vec<_> = (1..=TAIL + 6).map(|n| format!("line {n}")).collect();
        let shown = of_failure(&lines.join("\n"));
        assert!(shown.starts_with("(6 more lines in the log)\nline 7\n"), "{shown}");
    }

    #[test]
    fn the_last_line_is_the_last_with_text() {
        assert_eq!(last_line("   Compiling a\n   Compiling b\n\n"), "Compiling b");
        assert_eq!(last_line(""), "");
    }
}
