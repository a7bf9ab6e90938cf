//! The lifecycle as one table: from the goal, how far it has come, and what Fly shows, the next step.
//!
//! Pure: it asks nobody and changes nothing. Every step is an *ensure*: it looks before it makes, adopts what an earlier,
//! half-finished attempt made, and takes "already gone, proven" for done. So the table may be asked again at any time,
//! by any process.

use crate::text_enum::text_enum;
use crate::{OperationKind, Phase, Power, Seen, VolumeState, World};

text_enum! {
    expected "a known step";
    /// The next thing to do for a town.
    pub enum Step {
        /// Nothing can be decided now: wait a little, look again.
        ObserveAgain = "look_again",
        /// Adopt or create the volume.
        EnsureVolume = "ensure_volume",
        /// Create the machine, with a fresh token; it starts by itself. One that is there is adopted as it is.
        EnsureMachine = "ensure_machine",
        /// Give a machine that is off its whole configuration anew, with a fresh token (FM-25).
        UpdateMachine = "refresh_machine",
        /// Start the machine.
        StartMachine = "power_on",
        /// Wait until the machine is started.
        AwaitStarted = "await_on",
        /// Wait until the sandbox answers, and bring its rigs in line with the table.
        PrepareSandbox = "settle_sandbox",
        /// Ask the sandbox for a last sync: bounded, best effort.
        FinalSync = "final_sync",
        /// Stop the machine.
        StopMachine = "power_off",
        /// Wait until the machine is stopped.
        AwaitStopped = "await_off",
        /// Soft-delete the row: the town gives up its name and sandbox id.
        SoftDelete = "hide",
        /// Delete the machine.
        DeleteMachine = "drop_machine",
        /// Wait until the machine is destroyed; until then it holds its volume.
        AwaitDestroyed = "await_gone",
        /// Delete every volume of the town's name but the one in use.
        DeleteSurplusVolume = "drop_surplus",
        /// Delete the volume.
        DeleteVolume = "drop_volume",
        /// Everything is as it should be, but a create whose answer was lost may still make something: wait until it cannot.
        AwaitUnconfirmed = "outwait_doubt",
        /// The goal is reached: store the outcome, end the operation.
        Finish = "finish",
        /// The volume is gone from under its town: give up rather than hand out an empty one (FM-22).
        GiveUpVolumeLost = "give_up_volume_lost",
        /// The machine cannot run: give up.
        GiveUpMachineFailed = "give_up_machine_failed",
    }
}

/// The next step towards `goal`.
///
/// ```
/// use gastown_domain::{Phase, OperationKind, Power, Seen, Step, VolumeState, World, plan};
/// let world = World { machine: Seen::Absent, volume: Seen::Present(VolumeState::Ready), late: false };
/// assert_eq!(plan(OperationKind::Create, Phase::Begun, world), Step::EnsureMachine);
/// // A lost answer is not an absence: no second machine.
/// let world = World { machine: Seen::Unknown, volume: Seen::Present(VolumeState::Ready), late: false };
/// assert_eq!(plan(OperationKind::Create, Phase::Begun, world), Step::ObserveAgain);
/// ```
pub const fn plan(goal: OperationKind, phase: Phase, world: World) -> Step {
    let step = match goal {
        OperationKind::Create => create(phase, world),
        OperationKind::Start => start(phase, world),
        OperationKind::Stop => stop(phase, world.machine),
        OperationKind::Destroy => destroy(phase, world),
        OperationKind::RollBack => roll_back(phase, world),
    };
    // Nobody would look for what comes after the end.
    match step {
        Step::Finish if world.late => Step::AwaitUnconfirmed,
        step => step,
    }
}

/// A new town: volume, machine, sandbox. Its volume holds no data yet, so a misplaced one may go.
const fn create(phase: Phase, world: World) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    use Seen::{Absent, Present, Unknown};
    match (world.machine, world.volume) {
        (Unknown, _) => Step::ObserveAgain,
        (Absent, Unknown) => Step::ObserveAgain,
        (Absent, Absent | Present(VolumeState::Destroying)) => Step::EnsureVolume,
        (Absent, Present(VolumeState::Surplus)) => Step::DeleteSurplusVolume,
        (Absent, Present(VolumeState::Misplaced)) => Step::DeleteVolume,
        (Absent, Present(VolumeState::Ready)) => Step::EnsureMachine,
        (Present(_), Absent | Present(VolumeState::Destroying)) => Step::GiveUpVolumeLost,
        (Present(_), Present(VolumeState::Surplus)) => Step::DeleteSurplusVolume,
        (Present(power), Unknown | Present(VolumeState::Ready | VolumeState::Misplaced)) => match (power, phase) {
            (Starting, _) => Step::AwaitStarted,
            (On, Phase::Settled) => Step::Finish,
            (On, Phase::Begun | Phase::Prepared) => Step::PrepareSandbox,
            (Off, _) => Step::StartMachine,
            (Failed, _) => Step::GiveUpMachineFailed,
            (Stopping | Destroying | Changing, _) => Step::ObserveAgain,
        },
    }
}

/// A stopped town: its volume has data, its token may be stale. A second volume of its name is left alone: who made it
/// and what it holds is not ours to guess.
const fn start(phase: Phase, world: World) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    use Seen::{Absent, Present, Unknown};
    use VolumeState::{Misplaced, Ready, Surplus};
    match (world.volume, world.machine) {
        (Unknown, _) => Step::ObserveAgain,
        (Absent | Present(VolumeState::Destroying), _) => Step::GiveUpVolumeLost,
        (Present(Ready | Misplaced | Surplus), Unknown) => Step::ObserveAgain,
        (Present(Ready | Misplaced | Surplus), Absent) => Step::EnsureMachine,
        (Present(Ready | Misplaced | Surplus), Present(power)) => match (power, phase) {
            (Starting, _) => Step::AwaitStarted,
            (On, Phase::Settled) => Step::Finish,
            (On, Phase::Begun | Phase::Prepared) => Step::PrepareSandbox,
            (Stopping, _) => Step::AwaitStopped,
            (Off | Failed, Phase::Begun) => Step::UpdateMachine,
            (Off | Failed, Phase::Prepared | Phase::Settled) => Step::StartMachine,
            (Destroying | Changing, _) => Step::ObserveAgain,
        },
    }
}

/// A town to be stopped: its volume does not matter.
const fn stop(phase: Phase, machine: Seen<Power>) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    match (machine, phase) {
        (Seen::Unknown, _) => Step::ObserveAgain,
        (Seen::Absent, _) => Step::Finish,
        (Seen::Present(On), Phase::Begun) => Step::FinalSync,
        (Seen::Present(On), Phase::Prepared | Phase::Settled) => Step::StopMachine,
        (Seen::Present(Starting), _) => Step::StopMachine,
        (Seen::Present(Stopping), _) => Step::AwaitStopped,
        (Seen::Present(Off | Failed), _) => Step::Finish,
        (Seen::Present(Destroying | Changing), _) => Step::ObserveAgain,
    }
}

/// A town to be destroyed: last sync, then the row, then the machine, then the volume.
const fn destroy(phase: Phase, world: World) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    match (phase, world.machine) {
        (Phase::Begun, Seen::Unknown | Seen::Present(Changing)) => Step::ObserveAgain,
        (Phase::Begun, Seen::Present(On)) => Step::FinalSync,
        (Phase::Begun, Seen::Absent | Seen::Present(Starting | Stopping | Off | Failed | Destroying)) => {
            Step::SoftDelete
        }
        (Phase::Prepared, _) => Step::SoftDelete,
        (Phase::Settled, _) => remove(world),
    }
}

/// A create to be undone: nothing to sync.
const fn roll_back(phase: Phase, world: World) -> Step {
    match phase {
        Phase::Begun | Phase::Prepared => Step::SoftDelete,
        Phase::Settled => remove(world),
    }
}

/// The machine first, for it holds the volume (FM-05); each only proven gone.
const fn remove(world: World) -> Step {
    use Seen::{Absent, Present, Unknown};
    match (world.machine, world.volume) {
        (Unknown, _) => Step::ObserveAgain,
        (Present(Power::Destroying), _) => Step::AwaitDestroyed,
        (Present(_), _) => Step::DeleteMachine,
        (Absent, Unknown) => Step::ObserveAgain,
        (Absent, Present(VolumeState::Destroying)) => Step::ObserveAgain,
        (Absent, Present(VolumeState::Surplus)) => Step::DeleteSurplusVolume,
        (Absent, Present(VolumeState::Ready | VolumeState::Misplaced)) => Step::DeleteVolume,
        (Absent, Absent) => Step::Finish,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn machines() -> Vec<Seen<Power>> {
        [Seen::Absent, Seen::Unknown].into_iter().chain(Power::ALL.map(Seen::Present)).collect()
    }

    fn volumes() -> Vec<Seen<VolumeState>> {
        [Seen::Absent, Seen::Unknown].into_iter().chain(VolumeState::ALL.map(Seen::Present)).collect()
    }

    fn shown<T: std::fmt::Debug>(seen: Seen<T>) -> String {
        match seen {
            Seen::Absent => "absent".to_owned(),
            Seen::Unknown => "unclear".to_owned(),
            Seen::Present(state) => format!("{state:?}").to_lowercase(),
        }
    }

    /// The full cross product, one row per goal, mark and volume, one column per machine: what a reviewer reads.
    #[test]
    fn the_whole_plan_is_this_table() {
        let mut table = format!("{:<32}", "goal/mark/volume");
        for machine in machines() {
            write!(table, " {:<22}", shown(machine)).unwrap();
        }
        table.push('\n');
        for goal in OperationKind::ALL {
            for phase in Phase::ALL {
                for volume in volumes() {
                    let row = format!("{}/{}/{}", goal.as_str(), phase.as_str(), shown(volume));
                    write!(table, "{row:<32}").unwrap();
                    for machine in machines() {
                        let world = World { machine, volume, late: false };
                        write!(table, " {:<22}", plan(goal, phase, world).as_str()).unwrap();
                    }
                    table.push('\n');
                }
            }
        }
        let table: Vec<_> = table.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    fn every_case() -> impl Iterator<Item = (OperationKind, Phase, World)> {
        OperationKind::ALL.into_iter().flat_map(|goal| {
            Phase::ALL.into_iter().flat_map(move |phase| {
                machines().into_iter().flat_map(move |machine| {
                    let worlds = volumes().into_iter().map(move |volume| World { machine, volume, late: false });
                    worlds.flat_map(move |world| [false, true].map(|late| (goal, phase, World { late, ..world })))
                })
            })
        })
    }

    #[test]
    fn a_machine_is_made_only_after_it_is_proven_absent() {
        for (goal, phase, world) in every_case() {
            if plan(goal, phase, world) == Step::EnsureMachine {
                assert_eq!(world.machine, Seen::Absent, "{goal:?} {phase:?} {world:?}");
            }
        }
    }

    #[test]
    fn only_a_create_makes_a_volume_and_only_after_it_is_proven_absent() {
        for (goal, phase, world) in every_case() {
            if plan(goal, phase, world) == Step::EnsureVolume {
                assert_eq!(goal, OperationKind::Create, "{phase:?} {world:?}");
                assert!(matches!(world.volume, Seen::Absent | Seen::Present(VolumeState::Destroying)), "{world:?}");
            }
        }
    }

    #[test]
    fn a_removal_finishes_only_when_both_are_proven_gone() {
        for (goal, phase, world) in every_case().filter(|(goal, ..)| goal.removes()) {
            if plan(goal, phase, world) == Step::Finish {
                assert_eq!(world, World { machine: Seen::Absent, volume: Seen::Absent, late: false }, "{goal:?}");
                assert_eq!(phase, Phase::Settled, "{goal:?}");
            }
        }
    }

    #[test]
    fn what_may_still_come_is_outwaited_before_the_end_and_changes_nothing_else() {
        for (goal, phase, world) in every_case().filter(|(.., world)| world.late) {
            let want = match plan(goal, phase, World { late: false, ..world }) {
                Step::Finish => Step::AwaitUnconfirmed,
                other => other,
            };
            assert_eq!(plan(goal, phase, world), want, "{goal:?} {phase:?} {world:?}");
        }
    }

    #[test]
    fn no_volume_is_dropped_under_a_machine_or_of_a_town_that_stays() {
        for (goal, phase, world) in every_case() {
            if plan(goal, phase, world) == Step::DeleteVolume {
                assert_eq!(world.machine, Seen::Absent, "{goal:?} {phase:?} {world:?}");
                assert!(goal.removes() || world.volume == Seen::Present(VolumeState::Misplaced), "{goal:?} {world:?}");
            }
        }
    }

    #[test]
    fn every_step_reads_back() {
        for step in Step::ALL {
            assert_eq!(step.as_str().parse(), Ok(step));
        }
    }
}
