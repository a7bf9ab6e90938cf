//! The lifecycle as one table: from the goal, how far it has come, and what Fly shows, the next step.
//!
//! Pure: it asks nobody and changes nothing. Every step is an *ensure*: it looks before it makes, adopts what an earlier,
//! half-finished attempt made, and takes "already gone, proven" for done. So the table may be asked again at any time,
//! by any process.

use crate::text_enum::text_enum;
use crate::{Mark, OperationKind, Power, Seen, VolumeState, World};

text_enum! {
    expected "a known step";
    /// The next thing to do for a town.
    pub enum Step {
        /// Nothing can be decided now: wait a little, look again.
        LookAgain = "look_again",
        /// Adopt or create the volume.
        EnsureVolume = "ensure_volume",
        /// Create the machine, with a fresh token; it starts by itself. One that is there is adopted as it is.
        EnsureMachine = "ensure_machine",
        /// Give a machine that is off its whole configuration anew, with a fresh token (FM-25).
        RefreshMachine = "refresh_machine",
        /// Start the machine.
        PowerOn = "power_on",
        /// Wait until the machine is started.
        AwaitOn = "await_on",
        /// Wait until the sandbox answers, and bring its rigs in line with the table.
        SettleSandbox = "settle_sandbox",
        /// Ask the sandbox for a last sync: bounded, best effort.
        FinalSync = "final_sync",
        /// Stop the machine.
        PowerOff = "power_off",
        /// Wait until the machine is stopped.
        AwaitOff = "await_off",
        /// Soft-delete the row: the town gives up its name and sandbox id.
        Hide = "hide",
        /// Delete the machine.
        DropMachine = "drop_machine",
        /// Wait until the machine is destroyed; until then it holds its volume.
        AwaitGone = "await_gone",
        /// Delete every volume of the town's name but the one in use.
        DropSurplus = "drop_surplus",
        /// Delete the volume.
        DropVolume = "drop_volume",
        /// Everything is as it should be, but a create whose answer was lost may still make something: wait until it cannot.
        OutwaitDoubt = "outwait_doubt",
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
/// use gastown_domain::{Mark, OperationKind, Power, Seen, Step, VolumeState, World, plan};
/// let world = World { machine: Seen::Absent, volume: Seen::Present(VolumeState::Ready), late: false };
/// assert_eq!(plan(OperationKind::Create, Mark::Begun, world), Step::EnsureMachine);
/// // A lost answer is not an absence: no second machine.
/// let world = World { machine: Seen::Unclear, volume: Seen::Present(VolumeState::Ready), late: false };
/// assert_eq!(plan(OperationKind::Create, Mark::Begun, world), Step::LookAgain);
/// ```
pub const fn plan(goal: OperationKind, mark: Mark, world: World) -> Step {
    let step = match goal {
        OperationKind::Create => create(mark, world),
        OperationKind::Start => start(mark, world),
        OperationKind::Stop => stop(mark, world.machine),
        OperationKind::Destroy => destroy(mark, world),
        OperationKind::RollBack => roll_back(mark, world),
    };
    // Nobody would look for what comes after the end.
    match step {
        Step::Finish if world.late => Step::OutwaitDoubt,
        step => step,
    }
}

/// A new town: volume, machine, sandbox. Its volume holds no data yet, so a misplaced one may go.
const fn create(mark: Mark, world: World) -> Step {
    use Power::{Changing, Failed, Leaving, Off, On, Starting, Stopping};
    use Seen::{Absent, Present, Unclear};
    match (world.machine, world.volume) {
        (Unclear, _) => Step::LookAgain,
        (Absent, Unclear) => Step::LookAgain,
        (Absent, Absent | Present(VolumeState::Leaving)) => Step::EnsureVolume,
        (Absent, Present(VolumeState::Surplus)) => Step::DropSurplus,
        (Absent, Present(VolumeState::Misplaced)) => Step::DropVolume,
        (Absent, Present(VolumeState::Ready)) => Step::EnsureMachine,
        (Present(_), Absent | Present(VolumeState::Leaving)) => Step::GiveUpVolumeLost,
        (Present(_), Present(VolumeState::Surplus)) => Step::DropSurplus,
        (Present(power), Unclear | Present(VolumeState::Ready | VolumeState::Misplaced)) => match (power, mark) {
            (Starting, _) => Step::AwaitOn,
            (On, Mark::Settled) => Step::Finish,
            (On, Mark::Begun | Mark::Prepared) => Step::SettleSandbox,
            (Off, _) => Step::PowerOn,
            (Failed, _) => Step::GiveUpMachineFailed,
            (Stopping | Leaving | Changing, _) => Step::LookAgain,
        },
    }
}

/// A stopped town: its volume has data, its token may be stale. A second volume of its name is left alone: who made it
/// and what it holds is not ours to guess.
const fn start(mark: Mark, world: World) -> Step {
    use Power::{Changing, Failed, Leaving, Off, On, Starting, Stopping};
    use Seen::{Absent, Present, Unclear};
    use VolumeState::{Misplaced, Ready, Surplus};
    match (world.volume, world.machine) {
        (Unclear, _) => Step::LookAgain,
        (Absent | Present(VolumeState::Leaving), _) => Step::GiveUpVolumeLost,
        (Present(Ready | Misplaced | Surplus), Unclear) => Step::LookAgain,
        (Present(Ready | Misplaced | Surplus), Absent) => Step::EnsureMachine,
        (Present(Ready | Misplaced | Surplus), Present(power)) => match (power, mark) {
            (Starting, _) => Step::AwaitOn,
            (On, Mark::Settled) => Step::Finish,
            (On, Mark::Begun | Mark::Prepared) => Step::SettleSandbox,
            (Stopping, _) => Step::AwaitOff,
            (Off | Failed, Mark::Begun) => Step::RefreshMachine,
            (Off | Failed, Mark::Prepared | Mark::Settled) => Step::PowerOn,
            (Leaving | Changing, _) => Step::LookAgain,
        },
    }
}

/// A town to be stopped: its volume does not matter.
const fn stop(mark: Mark, machine: Seen<Power>) -> Step {
    use Power::{Changing, Failed, Leaving, Off, On, Starting, Stopping};
    match (machine, mark) {
        (Seen::Unclear, _) => Step::LookAgain,
        (Seen::Absent, _) => Step::Finish,
        (Seen::Present(On), Mark::Begun) => Step::FinalSync,
        (Seen::Present(On), Mark::Prepared | Mark::Settled) => Step::PowerOff,
        (Seen::Present(Starting), _) => Step::PowerOff,
        (Seen::Present(Stopping), _) => Step::AwaitOff,
        (Seen::Present(Off | Failed), _) => Step::Finish,
        (Seen::Present(Leaving | Changing), _) => Step::LookAgain,
    }
}

/// A town to be destroyed: last sync, then the row, then the machine, then the volume.
const fn destroy(mark: Mark, world: World) -> Step {
    use Power::{Changing, Failed, Leaving, Off, On, Starting, Stopping};
    match (mark, world.machine) {
        (Mark::Begun, Seen::Unclear | Seen::Present(Changing)) => Step::LookAgain,
        (Mark::Begun, Seen::Present(On)) => Step::FinalSync,
        (Mark::Begun, Seen::Absent | Seen::Present(Starting | Stopping | Off | Failed | Leaving)) => Step::Hide,
        (Mark::Prepared, _) => Step::Hide,
        (Mark::Settled, _) => remove(world),
    }
}

/// A create to be undone: nothing to sync.
const fn roll_back(mark: Mark, world: World) -> Step {
    match mark {
        Mark::Begun | Mark::Prepared => Step::Hide,
        Mark::Settled => remove(world),
    }
}

/// The machine first, for it holds the volume (FM-05); each only proven gone.
const fn remove(world: World) -> Step {
    use Seen::{Absent, Present, Unclear};
    match (world.machine, world.volume) {
        (Unclear, _) => Step::LookAgain,
        (Present(Power::Leaving), _) => Step::AwaitGone,
        (Present(_), _) => Step::DropMachine,
        (Absent, Unclear) => Step::LookAgain,
        (Absent, Present(VolumeState::Leaving)) => Step::LookAgain,
        (Absent, Present(VolumeState::Surplus)) => Step::DropSurplus,
        (Absent, Present(VolumeState::Ready | VolumeState::Misplaced)) => Step::DropVolume,
        (Absent, Absent) => Step::Finish,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn machines() -> Vec<Seen<Power>> {
        [Seen::Absent, Seen::Unclear].into_iter().chain(Power::ALL.map(Seen::Present)).collect()
    }

    fn volumes() -> Vec<Seen<VolumeState>> {
        [Seen::Absent, Seen::Unclear].into_iter().chain(VolumeState::ALL.map(Seen::Present)).collect()
    }

    fn shown<T: std::fmt::Debug>(seen: Seen<T>) -> String {
        match seen {
            Seen::Absent => "absent".to_owned(),
            Seen::Unclear => "unclear".to_owned(),
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
            for mark in Mark::ALL {
                for volume in volumes() {
                    let row = format!("{}/{}/{}", goal.as_str(), mark.as_str(), shown(volume));
                    write!(table, "{row:<32}").unwrap();
                    for machine in machines() {
                        let world = World { machine, volume, late: false };
                        write!(table, " {:<22}", plan(goal, mark, world).as_str()).unwrap();
                    }
                    table.push('\n');
                }
            }
        }
        let table: Vec<_> = table.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    fn every_case() -> impl Iterator<Item = (OperationKind, Mark, World)> {
        OperationKind::ALL.into_iter().flat_map(|goal| {
            Mark::ALL.into_iter().flat_map(move |mark| {
                machines().into_iter().flat_map(move |machine| {
                    let worlds = volumes().into_iter().map(move |volume| World { machine, volume, late: false });
                    worlds.flat_map(move |world| [false, true].map(|late| (goal, mark, World { late, ..world })))
                })
            })
        })
    }

    #[test]
    fn a_machine_is_made_only_after_it_is_proven_absent() {
        for (goal, mark, world) in every_case() {
            if plan(goal, mark, world) == Step::EnsureMachine {
                assert_eq!(world.machine, Seen::Absent, "{goal:?} {mark:?} {world:?}");
            }
        }
    }

    #[test]
    fn only_a_create_makes_a_volume_and_only_after_it_is_proven_absent() {
        for (goal, mark, world) in every_case() {
            if plan(goal, mark, world) == Step::EnsureVolume {
                assert_eq!(goal, OperationKind::Create, "{mark:?} {world:?}");
                assert!(matches!(world.volume, Seen::Absent | Seen::Present(VolumeState::Leaving)), "{world:?}");
            }
        }
    }

    #[test]
    fn a_removal_finishes_only_when_both_are_proven_gone() {
        for (goal, mark, world) in every_case().filter(|(goal, ..)| goal.removes()) {
            if plan(goal, mark, world) == Step::Finish {
                assert_eq!(world, World { machine: Seen::Absent, volume: Seen::Absent, late: false }, "{goal:?}");
                assert_eq!(mark, Mark::Settled, "{goal:?}");
            }
        }
    }

    #[test]
    fn what_may_still_come_is_outwaited_before_the_end_and_changes_nothing_else() {
        for (goal, mark, world) in every_case().filter(|(.., world)| world.late) {
            let want = match plan(goal, mark, World { late: false, ..world }) {
                Step::Finish => Step::OutwaitDoubt,
                other => other,
            };
            assert_eq!(plan(goal, mark, world), want, "{goal:?} {mark:?} {world:?}");
        }
    }

    #[test]
    fn no_volume_is_dropped_under_a_machine_or_of_a_town_that_stays() {
        for (goal, mark, world) in every_case() {
            if plan(goal, mark, world) == Step::DropVolume {
                assert_eq!(world.machine, Seen::Absent, "{goal:?} {mark:?} {world:?}");
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
