//! Every fault at every call of everything that happens: whatever strikes, all ends well.
//!
//! A scenario is told once undisturbed, which says what calls it makes; then once for each of its calls and each fault that
//! fits; then again with a second fault soon after the first. `RUST_BACKTRACE=0` and the name of a case in a failure are
//! all that is needed to find it again: nothing here is random.

mod case;
mod expected;
mod fixture;
mod scenario;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::faults::{Call, Fault};
use crate::runner::{grouped, in_paused_time, on_all_cores, print_figures};
use case::{Case, CaseReport, Channel};
use expected::{assert_every_call_is_faulted, unexpected};
use scenario::Scenario;

/// All is quiet so many sweeps after one fault, five seconds apart: nine until the lease of a process that died is over,
/// and a few of work.
const MAX_SWEEPS_ONE_FAULT: usize = 12;
/// And after two: another lease.
const MAX_SWEEPS_TWO_FAULTS: usize = 24;
/// So many calls after the first fault a second one still strikes.
const CALLS_AFTER_FIRST: usize = 3;

#[test]
fn whatever_strikes_at_whatever_call_all_ends_well() {
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

/// Every fault that fits, at every call that the scenario makes.
fn single_faults(report: &CaseReport) -> Vec<Case> {
    let mut cases = Vec::new();
    for calls in &report.calls {
        for (at, call) in calls.all.iter().copied().enumerate().take(calls.before_recovery) {
            let faults = Fault::ALL.iter().filter(|fault| fault.fits(call));
            cases.extend(faults.map(|fault| report.case.and(calls.channel, at, call, *fault)));
        }
    }
    cases
}

/// After an answer that got lost and after a crash: another fault at one of the first calls that follow, whoever makes
/// them.
fn second_faults(report: &CaseReport) -> Vec<Case> {
    let after_the_worst =
        report.case.injections.iter().all(|first| {
            first.channel == Channel::Provider && matches!(first.fault, Fault::ReplyLost | Fault::CrashAfter)
        });
    if !after_the_worst || !report.case.scenario.has_second_faults() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (channel, at, call) in report.calls_after_the_fault(CALLS_AFTER_FIRST) {
        let faults = [Fault::ReplyLost, Fault::ServerError, Fault::EmptyList, Fault::CrashAfter];
        let faults = faults.into_iter().filter(|fault| fault.fits(call));
        cases.extend(faults.map(|fault| report.case.and(channel, at, call, fault)));
    }
    cases
}

/// Tells all of them; if any goes wrong, says which.
fn run_all(cases: Vec<Case>) -> Vec<CaseReport> {
    let tell = |case: Case| {
        let name = case.to_string();
        catch_unwind(AssertUnwindSafe(|| in_paused_time(case.run()))).map_err(|_| name)
    };
    let (report, wrong): (Vec<_>, Vec<_>) = on_all_cores(cases, tell).into_iter().partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} cases do not end well, each told above:\n{}", wrong.len(), wrong.join("\n"));
    report.into_iter().filter_map(Result::ok).collect()
}

fn print_summary(what: &str, report: &[CaseReport], max_sweeps: usize) {
    let mut cases: BTreeMap<Scenario, usize> = BTreeMap::new();
    for report in report {
        *cases.entry(report.case.scenario).or_default() += 1;
    }
    let cases: Vec<_> = cases.into_iter().map(|(scenario, cases)| format!("{scenario:?} {}", grouped(cases))).collect();
    let longest =
        report.iter().max_by_key(|report| report.sweeps).map(|report| (report.sweeps, report.case.to_string()));
    let (sweeps, longest) = longest.unwrap_or_default();
    let total = grouped(report.len());
    print_figures(&format!(
        "enumerated, {what}: {total} cases: {}; all quiet after {sweeps} sweeps at most",
        cases.join(", ")
    ));
    assert!(sweeps <= max_sweeps, "{longest}: all is quiet after {sweeps} sweeps only, and {max_sweeps} were promised");
}
