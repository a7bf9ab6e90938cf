//! The output about steps, while they run and at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};

use super::carry_out::Outcome;
use super::slowest::{self, Timed};
use super::step::Step;
use super::tally::Tally;
use crate::progress::Elapsed;

/// A completed step.
pub(super) struct Report {
    step: Step,
    outcome: Outcome,
    took: Duration,
}

/// Runs a step and measures its time.
pub(super) async fn timed(step: Step, work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Report> {
    let started = Instant::now();
    let outcome = work.await?;
    Ok(Report { step, outcome, took: started.elapsed() })
}

impl Report {
    /// Prints one line, and the details of a failure.
    pub(super) fn print(&self, heading: &str) {
        println!("{heading}  {:<7}  {:>12}  {}", self.result(), Elapsed(self.took).to_string(), self.remark());
        match &self.outcome {
            Outcome::Passed { remarks, .. } => remarks.iter().for_each(|remark| println!("      {remark}")),
            Outcome::Failed { output, repeat, .. } => println!("\n{}\n\nrepeat with: {repeat}\n", output.trim_end()),
        }
    }

    fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Passed { .. } => "ok",
            Outcome::Failed { .. } => "FAILED",
        }
    }

    fn remark(&self) -> String {
        match &self.outcome {
            Outcome::Passed { tests: Some(tests), .. } | Outcome::Failed { tests: Some(tests), .. } => {
                let Tally { passed, failed, skipped } = tests.tally;
                format!("{passed} tests passed, {failed} failed, {skipped} ignored")
            }
            Outcome::Passed { .. } | Outcome::Failed { .. } => self.step.about().to_owned(),
        }
    }

    /// Counts the tests. A step without tests is one check, and so is a failure without a failed test.
    fn tally(&self) -> Tally {
        let check = |passed, failed| Tally { passed, failed, skipped: 0 };
        match &self.outcome {
            Outcome::Passed { tests: Some(tests), .. } => tests.tally,
            Outcome::Passed { tests: None, .. } => check(1, 0),
            Outcome::Failed { tests: Some(tests), .. } if tests.tally.failed > 0 => tests.tally,
            Outcome::Failed { tests: Some(tests), .. } => tests.tally + check(0, 1),
            Outcome::Failed { tests: None, .. } => check(0, 1),
        }
    }

    fn times(&self) -> &[Timed] {
        match &self.outcome {
            Outcome::Passed { tests: Some(tests), .. } | Outcome::Failed { tests: Some(tests), .. } => &tests.times,
            Outcome::Passed { .. } | Outcome::Failed { .. } => &[],
        }
    }
}

/// Prints the table of steps, the slowest tests, the checks that were not run and, on the last line, the sum.
pub(super) fn conclude(reports: &[Report], not_run: &[String], took: Duration) -> ExitCode {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(["step", "result", "time", ""]);
    for report in reports {
        let time = Elapsed(report.took).to_string();
        table.add_row([report.step.name().to_owned(), report.result().to_owned(), time, report.remark()]);
    }
    let sum: Tally = reports.iter().map(Report::tally).sum();
    println!("\n{table}\n");
    print_list("slowest:", &slowest::lines(reports.iter().flat_map(Report::times)));
    print_list("not run:", not_run);
    println!("total time: {}\n\n{}", Elapsed(took), closing_line(sum));
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_list(heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        println!("{heading}\n  {}\n", lines.join("\n  "));
    }
}

fn closing_line(Tally { passed, failed, skipped }: Tally) -> String {
    let line = format!("{passed} passed, {failed} failed");
    if skipped == 0 { line } else { format!("{line}, {skipped} skipped") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::harness::Ran;

    fn report(outcome: Outcome) -> Report {
        Report { step: Step::Tests, outcome, took: Duration::ZERO }
    }

    fn passed(tests: Option<Tally>) -> Report {
        report(Outcome::Passed { tests: tests.map(ran), remarks: Vec::new() })
    }

    fn failed(tests: Option<Tally>) -> Report {
        report(Outcome::Failed { tests: tests.map(ran), output: String::new(), repeat: String::new() })
    }

    fn ran(tally: Tally) -> Ran {
        Ran { tally, times: Vec::new() }
    }

    #[test]
    fn tests_and_checks_are_summed() {
        let tests = Tally { passed: 40, failed: 0, skipped: 2 };
        let broken = Tally { passed: 3, failed: 2, skipped: 0 };
        for (reports, want) in [
            (vec![passed(None), passed(Some(tests))], "41 passed, 0 failed, 2 skipped"),
            (vec![passed(None), failed(None)], "1 passed, 1 failed"),
            (vec![failed(Some(broken)), passed(None)], "4 passed, 2 failed"),
        ] {
            assert_eq!(closing_line(reports.iter().map(Report::tally).sum()), want);
        }
    }

    #[test]
    fn a_test_step_that_fails_without_a_failed_test_counts_as_failed() {
        let nothing_compiled = failed(Some(Tally::default()));
        assert_eq!(nothing_compiled.tally(), Tally { passed: 0, failed: 1, skipped: 0 });
    }
}
