use std::fmt::Write as _;

use super::*;
use crate::{MachineId, StepName, VolumeId};

fn machine(power: Power) -> Seen<ObservedMachine> {
    Seen::Present(ObservedMachine { id: machine_id(), power, volume: Some(volume_id()) })
}

fn machine_id() -> MachineId {
    "machine".parse().unwrap()
}

fn volume_id() -> VolumeId {
    "volume".parse().unwrap()
}

fn region() -> Region {
    "iad".parse().unwrap()
}

fn volume(state: VolumeState) -> Seen<LocatedVolume> {
    Seen::Present(LocatedVolume { id: volume_id(), region: Some(region()), state })
}

fn machines() -> Vec<Seen<ObservedMachine>> {
    [Seen::Absent, Seen::Unknown].into_iter().chain(Power::ALL.map(machine)).collect()
}

fn volumes() -> Vec<Seen<LocatedVolume>> {
    let surplus = VolumeState::Surplus("surplus".parse().unwrap());
    let states = [VolumeState::Ready, VolumeState::Misplaced, surplus, VolumeState::Destroying];
    [Seen::Absent, Seen::Unknown].into_iter().chain(states.map(volume)).collect()
}

fn shown_machine(seen: &Seen<ObservedMachine>) -> String {
    match seen {
        Seen::Absent => "absent".to_owned(),
        Seen::Unknown => "unknown".to_owned(),
        Seen::Present(machine) => format!("{:?}", machine.power).to_lowercase(),
    }
}

fn shown_volume(seen: &Seen<LocatedVolume>) -> &'static str {
    match seen {
        Seen::Absent => "absent",
        Seen::Unknown => "unknown",
        Seen::Present(volume) => match volume.state {
            VolumeState::Ready => "ready",
            VolumeState::Misplaced => "misplaced",
            VolumeState::Surplus(_) => "surplus",
            VolumeState::Destroying => "destroying",
        },
    }
}

fn observation(machine: Seen<ObservedMachine>, volume: Seen<LocatedVolume>) -> Observation {
    Observation { machine, volume, next_region: Some(region()), ..Observation::default() }
}

/// The full cross product: one row per goal, phase and volume, one column per machine.
#[test]
fn plan_matches_the_reviewed_table() {
    let mut table = format!("{:<32}", "goal/phase/volume");
    for machine in machines() {
        write!(table, " {:<22}", shown_machine(&machine)).unwrap();
    }
    table.push('\n');
    for goal in OperationKind::ALL {
        for phase in Phase::ALL {
            for volume in volumes() {
                let row = format!("{}/{}/{}", goal.as_str(), phase.as_str(), shown_volume(&volume));
                write!(table, "{row:<32}").unwrap();
                for machine in machines() {
                    let step = plan(goal, phase, &observation(machine, volume.clone()));
                    write!(table, " {:<22}", step.name().as_str()).unwrap();
                }
                table.push('\n');
            }
        }
    }
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(table.join("\n"));
}

fn every_case() -> Vec<(OperationKind, Phase, Observation)> {
    let mut cases = Vec::new();
    for (goal, phase) in OperationKind::ALL.into_iter().flat_map(|goal| Phase::ALL.map(|phase| (goal, phase))) {
        for machine in machines() {
            for volume in volumes() {
                for create_pending in [false, true] {
                    let observation = Observation { create_pending, ..observation(machine.clone(), volume.clone()) };
                    cases.push((goal, phase, observation));
                }
            }
        }
    }
    cases
}

#[test]
fn a_machine_is_created_only_after_it_is_proven_absent() {
    for (goal, phase, observed) in every_case() {
        if plan(goal, phase, &observed).name() == StepName::CreateMachine {
            assert_eq!(observed.machine, Seen::Absent, "{goal:?} {phase:?} {observed:?}");
        }
    }
}

#[test]
fn only_a_create_or_restore_creates_a_volume_and_only_after_it_is_proven_absent() {
    for (goal, phase, observed) in every_case() {
        if plan(goal, phase, &observed).name() == StepName::CreateVolume {
            assert!(goal == OperationKind::Create || goal == OperationKind::Restore, "{goal:?} {phase:?} {observed:?}");
            let absent = observed.volume == Seen::Absent || observed.volume == volume(VolumeState::Destroying);
            assert!(absent, "{observed:?}");
        }
    }
}

#[test]
fn a_create_gives_up_once_every_region_has_refused() {
    let observed = Observation { next_region: None, ..observation(Seen::Absent, Seen::Absent) };
    assert_eq!(plan(OperationKind::Create, Phase::Begun, &observed), Step::GiveUpNoCapacity);
}

#[test]
fn a_removal_finishes_only_when_both_are_proven_absent() {
    for (goal, phase, observed) in every_case().into_iter().filter(|(goal, ..)| goal.removes()) {
        if plan(goal, phase, &observed) == Step::Finish {
            assert_eq!(observed, observation(Seen::Absent, Seen::Absent), "{goal:?}");
            assert!(phase == Phase::Settled || !goal.ends_town(), "{goal:?}");
        }
    }
}

#[test]
fn a_pending_create_delays_the_end_and_changes_nothing_else() {
    for (goal, phase, observed) in every_case().into_iter().filter(|(.., observed)| observed.create_pending) {
        let certain = Observation { create_pending: false, ..observed.clone() };
        let step = plan(goal, phase, &certain);
        let want = if step == Step::Finish { Step::AwaitUnconfirmed } else { step };
        assert_eq!(plan(goal, phase, &observed), want, "{goal:?} {phase:?} {observed:?}");
    }
}

#[test]
fn no_volume_is_deleted_under_a_machine_or_of_a_town_that_stays() {
    for (goal, phase, observed) in every_case() {
        if plan(goal, phase, &observed).name() == StepName::DeleteVolume {
            assert_eq!(observed.machine, Seen::Absent, "{goal:?} {phase:?} {observed:?}");
            assert!(goal.removes() || observed.volume == volume(VolumeState::Misplaced), "{goal:?} {observed:?}");
        }
    }
}

#[test]
fn a_create_gives_up_once_its_machine_is_lost() {
    for volume in volumes() {
        let observed = Observation { machine_lost: true, ..observation(Seen::Absent, volume) };
        assert_eq!(plan(OperationKind::Create, Phase::Begun, &observed), Step::GiveUpMachineFailed);
    }
}

#[test]
fn a_machine_on_another_volume_is_not_handed_out() {
    let other = Some("another".parse().unwrap());
    let machine = Seen::Present(ObservedMachine { id: machine_id(), power: Power::On, volume: other });
    for goal in [OperationKind::Create, OperationKind::Start, OperationKind::Restart, OperationKind::Restore] {
        let observed = observation(machine.clone(), volume(VolumeState::Ready));
        assert_eq!(plan(goal, Phase::Prepared, &observed), Step::ObserveAgain);
    }
}

#[test]
fn a_restart_hands_out_no_machine_that_it_has_not_restarted() {
    for (goal, phase, observed) in every_case() {
        if goal == OperationKind::Restart && phase == Phase::Begun {
            for sync_tried in [false, true] {
                let step = plan(goal, phase, &Observation { sync_tried, ..observed.clone() }).name();
                assert!(step != StepName::PrepareSandbox && step != StepName::Finish, "{observed:?}");
            }
        }
    }
}

#[test]
fn a_restore_changes_nothing_until_the_loss_is_proven_again() {
    let goal = OperationKind::Restore;
    for machine in machines() {
        for state in [VolumeState::Ready, VolumeState::Misplaced, VolumeState::Surplus("surplus".parse().unwrap())] {
            let step = plan(goal, Phase::Begun, &observation(machine.clone(), volume(state)));
            assert_eq!(step, Step::GiveUpVolumeFound, "{machine:?}");
        }
        assert_eq!(plan(goal, Phase::Begun, &observation(machine, Seen::Unknown)), Step::ObserveAgain);
    }
}

#[test]
fn a_restore_is_a_create_once_the_old_machine_is_gone() {
    for (_, phase, observed) in every_case().into_iter().filter(|(goal, ..)| *goal == OperationKind::Restore) {
        let create = plan(OperationKind::Create, phase, &observed);
        if phase != Phase::Begun {
            assert_eq!(plan(OperationKind::Restore, phase, &observed), create, "{phase:?} {observed:?}");
        }
    }
}

#[test]
fn a_restart_syncs_at_most_once() {
    let observed = observation(machine(Power::On), volume(VolumeState::Ready));
    assert_eq!(plan(OperationKind::Restart, Phase::Begun, &observed), Step::FinalSync(machine_id()));
    let tried = Observation { sync_tried: true, ..observed };
    assert_eq!(plan(OperationKind::Restart, Phase::Begun, &tried), Step::StopMachine(machine_id()));
}

#[test]
fn a_restart_is_a_start_once_its_machine_is_off() {
    let cases = every_case().into_iter().filter(|(goal, ..)| *goal == OperationKind::Restart);
    for (_, phase, observed) in cases {
        let is_on = match &observed.machine {
            Seen::Present(machine) => machine.power == Power::On || machine.power == Power::Starting,
            Seen::Absent | Seen::Unknown => false,
        };
        if phase != Phase::Begun || !is_on {
            let start = plan(OperationKind::Start, phase, &observed);
            assert_eq!(plan(OperationKind::Restart, phase, &observed), start, "{phase:?} {observed:?}");
        }
    }
}
