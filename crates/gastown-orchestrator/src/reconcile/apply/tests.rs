use std::fmt::Write as _;

use gastown_domain::{Step, TownStatus};

use super::*;
use crate::reconcile::decide::{Action, Intent};
use crate::reconcile::samples::{after, every_error, every_kind, every_outcome, now, region};

fn decision(operation: Operation, town_status: TownStatus, repeated: bool) -> Decision {
    let volume = "volume".parse().unwrap();
    let before_create = operation.progress.clone();
    Decision {
        action: Action::Execute(Step::CreateMachine { volume, region: region() }),
        intent: Intent::Write,
        operation,
        before_create,
        town: TownChange::default(),
        town_status,
        wished_region: Some(region()),
        error: None,
        repeated,
        awaits_proof: false,
        now: now(),
    }
}

fn applied(decision: &Decision, outcome: Outcome) -> Applied {
    let (policy, regions) = (Policy::production(), [region(), "ams".parse().unwrap()]);
    apply(decision, outcome, Context { policy: &policy, regions: &regions, fraction: 1.0 })
}

/// Returns the next state in short: kind/phase, attempts, wait, last error, columns of the town, notice.
fn shown(applied: &Applied) -> String {
    let notice = match &applied.notice {
        None => String::new(),
        Some(Notice::NeedsAttention(_)) => " (alert)".to_owned(),
        Some(Notice::Misconfigured) => " (misconfigured)".to_owned(),
        Some(Notice::GivingUp(_)) => " (gives up)".to_owned(),
        Some(Notice::NextRegion(_)) => " (next region)".to_owned(),
        Some(Notice::RegionRetired(_)) => " (region retired)".to_owned(),
    };
    match &applied.next {
        Next::Finish { result: Ok(()), town, .. } => format!("done{}{notice}", columns(town)),
        Next::Finish { result: Err(rejection), town, .. } => {
            let why = match rejection {
                Rejection::Failed(failure) => format!("failed {failure}"),
                Rejection::RolledBack(failure) => format!("rolled back {failure}"),
                Rejection::Preempted => "pre-empted".to_owned(),
            };
            format!("{why}{}{notice}", columns(town))
        }
        Next::Update(update) => {
            let error = update.last_error.as_ref().map_or_else(String::new, |error| format!(" {error}"));
            let wait = if update.wait.is_zero() { "now".to_owned() } else { format!("{:?}", update.wait) };
            let parked = if update.hold.is_none() { " parked" } else { "" };
            let (kind, phase, attempt) = (update.kind, update.phase.as_str(), update.attempt);
            format!("{kind}/{phase} #{attempt} {wait}{parked}{error}{}{notice}", columns(&update.town))
        }
    }
}

fn columns(town: &TownChange) -> String {
    let mut columns = String::new();
    for (name, id) in
        [("machine", town.machine.as_ref().map(Option::is_some)), ("volume", town.volume.as_ref().map(Option::is_some))]
    {
        match id {
            Some(true) => write!(columns, " +{name}").unwrap(),
            Some(false) => write!(columns, " -{name}").unwrap(),
            None => {}
        }
    }
    if let Some(status) = town.status {
        write!(columns, " {status}").unwrap();
    }
    for (name, is_set) in [("deleted", town.soft_deleted_at.is_some()), ("synced", town.synced_at.is_some())] {
        if is_set {
            write!(columns, " +{name}").unwrap();
        }
    }
    columns
}

/// The full cross product: one row per outcome and kind, one column per number of failed attempts.
fn table(phase: Phase, town: TownStatus, repeated: bool) -> String {
    let alert = Policy::production().limits.alert_attempts;
    let attempts = [0, 7, alert - 1, alert + 3];
    let heads = attempts.map(|attempt| format!("| after {attempt} failed attempts"));
    let row = |name: &str, cells: [String; 4]| {
        let [one, two, three, four] = cells;
        let row = format!("{name:<36} {one:<46} {two:<46} {three:<46} {four}");
        row.trim_end().to_owned() + "\n"
    };
    let mut table = row("outcome, kind", heads);
    for (name, _) in every_outcome() {
        for (kind, operation) in every_kind(phase) {
            let cells = attempts.map(|attempt| {
                let operation = Operation { attempt, ..after(StepName::CreateMachine, operation.clone()) };
                let (_, outcome) = every_outcome().into_iter().find(|(other, _)| *other == name).unwrap();
                format!("| {}", shown(&applied(&decision(operation, town, repeated), outcome)))
            });
            table.push_str(&row(&format!("{name}, {kind}"), cells));
        }
    }
    table
}

#[test]
fn next_states_match_the_reviewed_table() {
    insta::assert_snapshot!(table(Phase::Begun, TownStatus::Stopped, false));
}

#[test]
fn next_states_of_a_repeated_step_match_the_reviewed_table() {
    insta::assert_snapshot!(table(Phase::Settled, TownStatus::Running, true));
}

#[test]
fn only_a_create_that_may_be_applied_stays_recorded() {
    let (_, operation) = every_kind(Phase::Begun).remove(0);
    for (name, error) in every_error() {
        let may_be_applied = error.may_be_applied();
        let before = decision(operation.clone(), TownStatus::Provisioning, false);
        let mut sent = before.operation.clone();
        sent.progress.unconfirmed_machine = sent.progress.unconfirmed_machine.sent(3, now());
        let decision = Decision { operation: sent, ..before };
        let failed = Outcome::Failed { step: StepName::CreateMachine, error, queued: Duration::ZERO };
        let Next::Update(update) = applied(&decision, failed).next else { continue };
        assert_eq!(update.progress.unconfirmed_machine.exists(), may_be_applied, "{name}");
    }
}
