//! Every fault at every call of everything that happens: whatever strikes, all ends well.
//!
//! A scenario is told once undisturbed, which says what calls it makes; then once for each of its calls and each fault that
//! fits; then again with a second fault soon after the first. `RUST_BACKTRACE=0` and the name of a case in a failure are
//! all that is needed to find it again: nothing here is random.

mod case;
mod expected;
mod scenario;
mod stage;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cores::{grouped, in_paused_time, on_all_cores, say};
use crate::faults::{Call, Fault};
use case::{Case, Line, Told};
use expected::{assert_every_call_is_struck, unexpected};
use scenario::Scenario;

/// All is quiet so many sweeps after one fault, five seconds apart: nine until the lease of a process that died is over,
/// and a few of work.
const SWEEPS_AFTER_ONE: usize = 12;
/// And after two: another lease.
const SWEEPS_AFTER_TWO: usize = 24;
/// So many calls after the first fault a second one still strikes.
const SOON: usize = 3;

#[test]
fn whatever_strikes_at_whatever_call_all_ends_well() {
    let undisturbed = on_all_cores(Scenario::ALL, |scenario| in_paused_time(Case::undisturbed(*scenario).tell()));
    let surprises: Vec<_> = undisturbed.iter().filter_map(unexpected).collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));

    let singles = all_well(undisturbed.iter().flat_map(single_faults).collect());
    report("one fault", &singles, SWEEPS_AFTER_ONE);
    let struck: HashSet<Call> = singles.iter().flat_map(|told| told.hits.iter().map(|hit| hit.call)).collect();
    assert_every_call_is_struck(&struck);

    let pairs = all_well(singles.iter().flat_map(second_faults).collect());
    report("two faults", &pairs, SWEEPS_AFTER_TWO);
}

/// Every fault that fits, at every call that the scenario makes.
fn single_faults(told: &Told) -> Vec<Case> {
    let mut cases = Vec::new();
    for calls in &told.calls {
        for (at, call) in calls.all.iter().copied().enumerate().take(calls.own) {
            let faults = Fault::ALL.iter().filter(|fault| fault.fits(call));
            cases.extend(faults.map(|fault| told.case.and(calls.line, at, call, *fault)));
        }
    }
    cases
}

/// After an answer that got lost and after a crash: another fault at one of the first calls that follow, whoever makes
/// them.
fn second_faults(told: &Told) -> Vec<Case> {
    let after_the_worst = told
        .case
        .strikes
        .iter()
        .all(|first| first.line == Line::Provider && matches!(first.fault, Fault::ReplyLost | Fault::CrashAfter));
    if !after_the_worst || !told.case.scenario.has_second_faults() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (line, at, call) in told.calls_after_the_strike(SOON) {
        let faults = [Fault::ReplyLost, Fault::ServerError, Fault::EmptyList, Fault::CrashAfter];
        let faults = faults.into_iter().filter(|fault| fault.fits(call));
        cases.extend(faults.map(|fault| told.case.and(line, at, call, fault)));
    }
    cases
}

/// Tells all of them; if any goes wrong, says which.
fn all_well(cases: Vec<Case>) -> Vec<Told> {
    let tell = |case: Case| {
        let name = case.to_string();
        catch_unwind(AssertUnwindSafe(|| in_paused_time(case.tell()))).map_err(|_| name)
    };
    let (told, wrong): (Vec<_>, Vec<_>) = on_all_cores(cases, tell).into_iter().partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} cases do not end well, each told above:\n{}", wrong.len(), wrong.join("\n"));
    told.into_iter().filter_map(Result::ok).collect()
}

fn report(what: &str, told: &[Told], bound: usize) {
    let mut cases: BTreeMap<Scenario, usize> = BTreeMap::new();
    for told in told {
        *cases.entry(told.case.scenario).or_default() += 1;
    }
    let cases: Vec<_> = cases.into_iter().map(|(scenario, cases)| format!("{scenario:?} {}", grouped(cases))).collect();
    let longest = told.iter().max_by_key(|told| told.sweeps).map(|told| (told.sweeps, told.case.to_string()));
    let (sweeps, longest) = longest.unwrap_or_default();
    let total = grouped(told.len());
    say(&format!("enumerated, {what}: {total} cases: {}; all quiet after {sweeps} sweeps at most", cases.join(", ")));
    assert!(sweeps <= bound, "{longest}: all is quiet after {sweeps} sweeps only, and {bound} were promised");
}
