//! Every fault at every call of every scenario. Everything recovers.
//!
//! A scenario runs once without faults, which lists its calls. Then it runs once for each of its calls and each fault
//! that fits, and again with a second fault soon after the first. The name of a failed case is enough to find it again,
//! because nothing is random. Run with `RUST_BACKTRACE=0` for shorter output.

mod case;
mod expected;
mod fixture;
mod rolling_out;
mod scenario;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::faults::{Call, Fault};
use crate::runner::{grouped, in_paused_time, on_all_cores, print_figures};
use case::{Case, CaseReport, Channel};
use expected::{assert_every_call_is_faulted, unexpected};
use scenario::Scenario;

/// The maximum number of sweeps, five seconds apart, after one fault: nine until the lease of a dead process expires,
/// and a few of work.
const MAX_SWEEPS_ONE_FAULT: usize = 12;
/// The maximum number of sweeps after two faults, which may take another lease.
const MAX_SWEEPS_TWO_FAULTS: usize = 24;
/// The number of calls after the first fault that can get a second one.
const CALLS_AFTER_FIRST: usize = 3;

#[test]
fn every_fault_at_every_call_recovers() {
    let undisturbed = on_all_cores(Scenario::ALL, |scenario| in_paused_time(Case::undisturbed(*scenario).run()));
    let differences: Vec<_> = undisturbed.iter().filter_map(unexpected).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    let singles = run_all(undisturbed.iter().flat_map(single_faults).collect());
    print_summary("one fault", &singles, MAX_SWEEPS_ONE_FAULT);
    let faulted: HashSet<Call> =
        singles.iter().flat_map(|report| report.injected.iter().map(|injected| injected.call)).collect();
    assert_every_call_is_faulted(&faulted);

    let pairs = run_all(singles.iter().flat_map(second_faults).collect());
    print_summary("two faults", &pairs, MAX_SWEEPS_TWO_FAULTS);
}

/// Returns one case for each call of the scenario and each fault that fits.
fn single_faults(report: &CaseReport) -> Vec<Case> {
    let mut cases = Vec::new();
    for calls in &report.calls {
        for (at, call) in calls.all.iter().copied().enumerate().take(calls.before_recovery) {
            let faults = Fault::ALL.iter().filter(|fault| fault.fits(call));
            cases.extend(faults.map(|fault| report.case.with(calls.channel, at, call, *fault)));
        }
    }
    cases
}

/// Returns the cases with a second fault. It follows a lost response or a crash, at one of the next calls of any
/// process.
fn second_faults(report: &CaseReport) -> Vec<Case> {
    let after_lost_reply_or_crash =
        report.case.injections.iter().all(|first| {
            first.channel == Channel::Provider && matches!(first.fault, Fault::ReplyLost | Fault::CrashAfter)
        });
    if !after_lost_reply_or_crash || !report.case.scenario.has_second_faults() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (channel, at, call) in report.calls_after_the_fault(CALLS_AFTER_FIRST) {
        let faults = [Fault::ReplyLost, Fault::ServerError, Fault::EmptyList, Fault::CrashAfter];
        let faults = faults.into_iter().filter(|fault| fault.fits(call));
        cases.extend(faults.map(|fault| report.case.with(channel, at, call, fault)));
    }
    cases
}

/// Runs all cases. Panics with the names of those that fail.
fn run_all(cases: Vec<Case>) -> Vec<CaseReport> {
    let run = |case: Case| {
        let name = case.to_string();
        catch_unwind(AssertUnwindSafe(|| in_paused_time(case.run()))).map_err(|_| name)
    };
    let (reports, failed): (Vec<_>, Vec<_>) = on_all_cores(cases, run).into_iter().partition(Result::is_ok);
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} cases failed (details above):\n{}", failed.len(), failed.join("\n"));
    reports.into_iter().filter_map(Result::ok).collect()
}

fn print_summary(what: &str, reports: &[CaseReport], max_sweeps: usize) {
    let mut cases: BTreeMap<Scenario, usize> = BTreeMap::new();
    for report in reports {
        *cases.entry(report.case.scenario).or_default() += 1;
    }
    let cases: Vec<_> = cases.into_iter().map(|(scenario, cases)| format!("{scenario:?} {}", grouped(cases))).collect();
    let longest =
        reports.iter().max_by_key(|report| report.sweeps).map(|report| (report.sweeps, report.case.to_string()));
    let (sweeps, longest) = longest.unwrap_or_default();
    let total = grouped(reports.len());
    print_figures(&format!(
        "enumerated, {what}: {total} cases: {}; all quiet after at most {sweeps} sweeps",
        cases.join(", ")
    ));
    assert!(sweeps <= max_sweeps, "{longest}: quiet after {sweeps} sweeps, at most {max_sweeps} are allowed");
}
