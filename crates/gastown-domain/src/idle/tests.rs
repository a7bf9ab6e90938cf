use std::fmt::Write as _;

use super::*;
use crate::{Operation, Progress, StepName};

fn noon() -> DateTime<Utc> {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    noon() - TimeDelta::minutes(minutes)
}

/// Returns the facts of a town that was not used for an hour, and is stopped after thirty minutes.
fn idle() -> IdleFacts {
    IdleFacts {
        stop_after: IdleMinutes::new(30),
        status: TownStatus::Running,
        has_operation: false,
        has_unapplied_rigs: false,
        has_drift: false,
        health: HealthState::Healthy.into(),
        used_at: Some(ago(60)),
        heard_at: Some(ago(1)),
        active_polecats: Some(0),
        idle_since: Some(ago(50)),
    }
}

fn verdict(change: impl FnOnce(&mut IdleFacts)) -> IdleVerdict {
    let mut facts = idle();
    change(&mut facts);
    judge_idle(&facts, noon())
}

/// Each line changes one fact of an idle town.
#[test]
fn verdicts_match_the_reviewed_table() {
    type Change = fn(&mut IdleFacts);
    let table: [(&str, Change); 30] = [
        ("nothing", |_| {}),
        ("setting off", |facts| facts.stop_after = None),
        ("setting of an hour", |facts| facts.stop_after = IdleMinutes::new(60)),
        ("provisioning", |facts| facts.status = TownStatus::Provisioning),
        ("stopped", |facts| facts.status = TownStatus::Stopped),
        ("destroyed", |facts| facts.status = TownStatus::Destroyed),
        ("operation in flight", |facts| facts.has_operation = true),
        ("rig waits", |facts| facts.has_unapplied_rigs = true),
        ("changed from outside", |facts| facts.has_drift = true),
        ("health unknown", |facts| facts.health = HealthState::Unknown.into()),
        ("unhealthy", |facts| facts.health = HealthState::Unhealthy.into()),
        ("health error", |facts| facts.health = HealthState::Error.into()),
        ("health of a newer version", |facts| facts.health = Recorded::read("dozing")),
        ("never used", |facts| facts.used_at = None),
        ("used now", |facts| facts.used_at = Some(ago(0))),
        ("used 29 minutes ago", |facts| facts.used_at = Some(ago(29))),
        ("used 30 minutes ago", |facts| facts.used_at = Some(ago(30))),
        ("used in the future", |facts| facts.used_at = Some(ago(-60))),
        ("never heard", |facts| facts.heard_at = None),
        ("heard 3 minutes ago", |facts| facts.heard_at = Some(ago(3))),
        ("heard 4 minutes ago", |facts| facts.heard_at = Some(ago(4))),
        ("polecats unknown", |facts| facts.active_polecats = None),
        ("one polecat", |facts| facts.active_polecats = Some(1)),
        ("idle since unknown", |facts| facts.idle_since = None),
        ("idle since now", |facts| facts.idle_since = Some(ago(0))),
        ("idle for 29 minutes", |facts| facts.idle_since = Some(ago(29))),
        ("idle for 30 minutes", |facts| facts.idle_since = Some(ago(30))),
        ("idle in the future", |facts| facts.idle_since = Some(ago(-60))),
        ("idle for longer than unused", |facts| facts.idle_since = Some(ago(90))),
        ("setting of a week", |facts| facts.stop_after = IdleMinutes::new(IdleMinutes::MAX)),
    ];
    let mut lines = String::new();
    for (name, change) in table {
        let verdict = match verdict(change) {
            IdleVerdict::Idle { since } => format!("stop, idle for {} minutes", (noon() - since).num_minutes()),
            IdleVerdict::Keep(reason) => format!("keep: {reason:?}"),
        };
        writeln!(lines, "{name:<28} {verdict}").unwrap();
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn setting_has_a_range() {
    for (minutes, is_valid) in [(0, false), (4, false), (5, true), (10_080, true), (10_081, false)] {
        assert_eq!(IdleMinutes::new(minutes).map(IdleMinutes::get), is_valid.then_some(minutes));
    }
}

#[test]
fn idle_stop_is_shown_while_it_is_in_flight_and_until_the_town_starts() {
    let mut operation: RecordedOperation = Operation { kind: OperationKind::Stop, ..Operation::sample() }.into();
    assert_eq!(IdleStop::of(TownStatus::Running, Some(&operation), None), None, "a stop of the owner");
    operation.progress.idle_since = Some(ago(60));
    let stopping = IdleStop::Stopping { since: operation.created_at };
    assert_eq!(IdleStop::of(TownStatus::Running, Some(&operation), None), Some(stopping));
    operation.kind = OperationKind::Start.into();
    assert_eq!(IdleStop::of(TownStatus::Running, Some(&operation), None), None, "no other kind is one");
    let stopped = IdleStop::Stopped { since: noon() };
    assert_eq!(IdleStop::of(TownStatus::Stopped, Some(&operation), Some(ago(0))), Some(stopped), "until it runs");
    assert_eq!(IdleStop::of(TownStatus::Stopped, None, Some(ago(0))), Some(stopped));
    assert_eq!(IdleStop::of(TownStatus::Stopped, None, None), None);
    assert_eq!(IdleStop::of(TownStatus::Running, None, Some(ago(0))), None);
}

#[test]
fn only_a_sync_and_looks_show_that_no_machine_was_stopped() {
    use StepName::{AwaitStopped, FinalSync, ObserveAgain, StopMachine};

    let stop = |steps: &[StepName]| -> RecordedOperation {
        let progress = steps.iter().fold(Progress::default(), |progress, step| progress.began(*step, noon()));
        let step = steps.last().map(|step| (*step).into());
        Operation { kind: OperationKind::Stop, step, progress, ..Operation::sample() }.into()
    };
    for (steps, may_have) in [
        (&[] as &[StepName], false),
        (&[FinalSync], false),
        (&[ObserveAgain, FinalSync, ObserveAgain], false),
        (&[FinalSync, StopMachine], true),
        (&[FinalSync, StopMachine, ObserveAgain], true),
        (&[AwaitStopped], true),
    ] {
        assert_eq!(stop(steps).may_have_stopped_machine(), may_have, "{steps:?}");
    }
    let mut newer = stop(&[]);
    newer.step = Some(Recorded::read("of_the_future"));
    assert!(newer.may_have_stopped_machine());
}
