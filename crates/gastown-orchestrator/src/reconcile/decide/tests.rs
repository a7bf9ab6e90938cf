use std::fmt::Write as _;

use chrono::TimeDelta;
use gastown_domain::ports::{Action as ProviderAction, ObservedMachine};
use gastown_domain::{LocatedVolume, VolumeState};

use super::*;
use crate::reconcile::samples::{every_kind, now, operation, region, town};

fn machine(power: Power) -> Seen<ObservedMachine> {
    Seen::Present(ObservedMachine { id: "machine".parse().unwrap(), power, volume: Some("volume".parse().unwrap()) })
}

fn machines() -> Vec<(String, Seen<ObservedMachine>)> {
    let mut machines = vec![("absent".to_owned(), Seen::Absent), ("unknown".to_owned(), Seen::Unknown)];
    machines.extend(Power::ALL.map(|power| (format!("{power:?}").to_lowercase(), machine(power))));
    machines
}

fn volumes() -> Vec<(&'static str, Seen<LocatedVolume>)> {
    let volume = |state| Seen::Present(LocatedVolume { id: "volume".parse().unwrap(), region: Some(region()), state });
    vec![
        ("absent", Seen::Absent),
        ("unknown", Seen::Unknown),
        ("ready", volume(VolumeState::Ready)),
        ("misplaced", volume(VolumeState::Misplaced)),
        ("surplus", volume(VolumeState::Surplus("surplus".parse().unwrap()))),
        ("destroying", volume(VolumeState::Destroying)),
    ]
}

fn observed(machine: Seen<ObservedMachine>, volume: Seen<LocatedVolume>) -> Observed {
    Observed {
        machine,
        volume,
        create_pending: false,
        change: TownChange::default(),
        progress: Progress::default(),
        error: None,
        looked_at_machine: true,
        looked_at_volume: true,
    }
}

fn driven(operation: &Operation) -> Driven<'_> {
    Driven { operation, row: operation, town_unwritten: false }
}

fn decided_at(operation: &Operation, observed: Observed, at: DateTime<Utc>) -> Decision {
    let times = Times { before: at, now: at, queued: Duration::ZERO };
    decide(driven(operation), &town(TownStatus::Running), observed, times, &Policy::production(), &[region()])
}

fn shown(decision: &Decision) -> String {
    match &decision.action {
        Action::Execute(step) => step.name().as_str().to_owned(),
        Action::GiveUp(failure) => format!("!{}", failure.code()),
    }
}

/// Prints one row per kind, phase and volume, and one column per machine.
fn table(decide: impl Fn(&Operation, Observed) -> Decision) -> String {
    let mut table = format!("{:<34}", "kind/phase/volume");
    for (name, _) in machines() {
        write!(table, " {name:<24}").unwrap();
    }
    for phase in Phase::ALL {
        for (kind, operation) in every_kind(phase) {
            for (volume_name, volume) in volumes() {
                write!(table, "\n{:<34}", format!("{kind}/{}/{volume_name}", phase.as_str())).unwrap();
                for (_, machine) in machines() {
                    write!(table, " {:<24}", shown(&decide(&operation, observed(machine, volume.clone())))).unwrap();
                }
            }
        }
    }
    table.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn decisions_before_the_deadline_match_the_reviewed_table() {
    insta::assert_snapshot!(table(|operation, observed| decided_at(operation, observed, now())));
}

#[test]
fn decisions_past_the_deadline_match_the_reviewed_table() {
    let late = now() + TimeDelta::minutes(5);
    insta::assert_snapshot!(table(|operation, observed| decided_at(operation, observed, late)));
}

#[test]
fn decisions_after_failed_observations_match_the_reviewed_table() {
    let attempt = Policy::production().limits.sync_attempts;
    insta::assert_snapshot!(table(|operation, observed| {
        let error = Some(ProviderError::MachineMissing { action: ProviderAction::UpdateMachine });
        let operation = Operation { attempt, ..operation.clone() };
        decided_at(&operation, Observed { error, ..observed }, now())
    }));
}

#[test]
fn intents_match_the_reviewed_table() {
    let mut table = String::new();
    let (machine, volume): (gastown_domain::MachineId, gastown_domain::VolumeId) =
        ("machine".parse().unwrap(), "volume".parse().unwrap());
    let steps = [
        Step::ObserveAgain,
        Step::CreateVolume(region()),
        Step::CreateMachine { volume: volume.clone(), region: region() },
        Step::UpdateMachine { machine: machine.clone(), volume: volume.clone(), region: region() },
        Step::StartMachine(machine.clone()),
        Step::AwaitStarted(machine.clone()),
        Step::PrepareSandbox(machine.clone()),
        Step::FinalSync(machine.clone()),
        Step::StopMachine(machine.clone()),
        Step::AwaitStopped(machine.clone()),
        Step::SoftDelete,
        Step::DeleteMachine(machine.clone()),
        Step::AwaitDestroyed(machine),
        Step::DeleteSurplusVolume(volume.clone()),
        Step::DeleteVolume(volume),
        Step::AwaitUnconfirmed,
        Step::Finish,
        Step::GiveUpVolumeLost,
        Step::GiveUpVolumeFound,
        Step::GiveUpMachineFailed,
        Step::GiveUpNoCapacity,
    ];
    assert_eq!(steps.each_ref().map(Step::name), StepName::ALL);
    for step in steps {
        let action = Action::Execute(step.clone());
        let [unwritten, new, repeated] = [(true, true), (false, false), (false, true)]
            .map(|(unwritten, repeated)| format!("{:?}", intent(&action, unwritten, repeated)));
        let name = step.name().as_str();
        writeln!(table, "{name:<24} unwritten facts {unwritten:<6} new step {new:<6} repeated step {repeated}")
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_create_is_recorded_before_it_is_sent() {
    let create = operation(OperationKind::Create, Phase::Begun);
    for (volume, is_volume) in [(Seen::Absent, true), (volumes()[2].1.clone(), false)] {
        let decision = decided_at(&create, observed(Seen::Absent, volume), now());
        let progress = &decision.operation.progress;
        assert_eq!(decision.intent, Intent::Write);
        assert_eq!(
            (progress.unconfirmed_volume.exists(), progress.unconfirmed_machine.exists()),
            (is_volume, !is_volume)
        );
        assert_eq!(decision.before_create.clone().without_steps(), Progress::default());
        assert_eq!(decision.before_create.steps.len(), 1, "a create that is taken back was begun");
    }
}

#[test]
fn restore_forgets_the_old_machine_before_it_creates_a_volume() {
    let begun = operation(OperationKind::Restore, Phase::Begun);
    let mut seen = observed(Seen::Absent, Seen::Absent);
    seen.progress.unconfirmed_machine = UnconfirmedCreate::default().contradicted(3);
    let decision = decided_at(&begun, seen, now());
    assert_eq!((shown(&decision).as_str(), decision.intent), ("ensure_volume", Intent::Write));
    assert_eq!(decision.operation.phase, Phase::Prepared, "what is found from now on was made by it");
    assert!(!decision.operation.progress.unconfirmed_machine.exists());
}

#[test]
fn time_in_rate_limits_moves_the_deadline() {
    let create = operation(OperationKind::Create, Phase::Begun);
    let times = Times { before: now(), now: now(), queued: Duration::from_secs(30) };
    let observed = observed(Seen::Unknown, Seen::Unknown);
    let decision =
        decide(driven(&create), &town(TownStatus::Provisioning), observed, times, &Policy::production(), &[region()]);
    assert_eq!(decision.operation.deadline_at, create.deadline_at.map(|deadline| deadline + Duration::from_secs(30)));
    assert_eq!(decision.operation.progress.queued_ms, 30_000);
}
