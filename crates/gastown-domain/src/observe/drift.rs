//! What happened to a town behind our back: from the row and what Fly shows, what to believe.
//!
//! Pure, like the plan. One look decides nothing: several that agree do, and what is unclear or on its way somewhere
//! counts for nothing at all (FM-23).

use crate::text_enum::text_enum;
use crate::{Power, Seen, TownStatus};

text_enum! {
    expected "a known drift";
    /// How a town is found to be unlike its row.
    pub enum Drift {
        /// The row says running, the machine is off or has failed.
        MachineStopped = "machine_stopped",
        /// The row says stopped, the machine is on.
        MachineStarted = "machine_started",
        /// The row's machine is proven gone; its volume is not looked at for that.
        MachineMissing = "machine_missing",
        /// The machine is another one than the row's: made anew by Fly or an operator, with the town's name.
        MachineReplaced = "machine_replaced",
        /// The data is on another volume than the row's, which the town's machine mounts: Fly moved it.
        VolumeMoved = "volume_moved",
        /// The row's volume is proven gone and no other has the town's name. It is never replaced by an empty one (FM-22).
        VolumeLost = "volume_lost",
    }
}

impl Drift {
    /// What the owner of a town reads.
    pub const fn message(self) -> &'static str {
        match self {
            Self::MachineStopped => "the machine was stopped by somebody else or by its host; start the town to go on",
            Self::MachineStarted => "the machine was started by somebody else",
            Self::MachineMissing => {
                "the machine was removed by somebody else or by its host; start the town to get a new one on its volume"
            }
            Self::MachineReplaced => "the machine was replaced by somebody else",
            Self::VolumeMoved => "the volume was moved to another host",
            Self::VolumeLost => {
                "the town's volume is missing; it is not replaced by an empty one, please contact support"
            }
        }
    }
}

/// What is known of the machine that a town's row names, or of the one that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineComparison {
    /// What was seen of it. `Absent` is proven: the row's id is unknown to an app that answers, and the name is free.
    pub seen: Seen<Power>,
    /// Whether it is the one that the row names, or the row names none and there is none.
    pub is_the_rows: bool,
}

/// What is known of the volume that a town's row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeComparison {
    /// It could not be asked.
    Unknown,
    /// It is there.
    There,
    /// It is proven gone, and the machine mounts another one of the town's name.
    Moved,
    /// It is proven gone by two different reads, and no other has the town's name.
    Gone,
    /// It is proven gone, and another one of the town's name lies there unused: whose data it holds is not ours to guess.
    Unsure,
}

impl VolumeComparison {
    /// Every look.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::There, Self::Moved, Self::Gone, Self::Unsure];
}

/// What one look says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftVerdict {
    /// The row tells the truth.
    Agrees,
    /// Nothing can be said now.
    Undecided,
    /// The row does not tell the truth.
    Differs(Drift),
}

/// Compares a settled town with what Fly shows. A town that is coming up or going away is its driver's to look after.
///
/// ```
/// use gastown_domain::{DriftVerdict, Drift, MachineComparison, Power, Seen, TownStatus, VolumeComparison, compare};
/// let off = MachineComparison { seen: Seen::Present(Power::Off), is_the_rows: true };
/// assert_eq!(compare(TownStatus::Running, off, VolumeComparison::There), DriftVerdict::Differs(Drift::MachineStopped));
/// // A machine on its way says nothing.
/// let stopping = MachineComparison { seen: Seen::Present(Power::Stopping), is_the_rows: true };
/// assert_eq!(compare(TownStatus::Running, stopping, VolumeComparison::There), DriftVerdict::Undecided);
/// ```
pub const fn compare(status: TownStatus, machine: MachineComparison, volume: VolumeComparison) -> DriftVerdict {
    use DriftVerdict::{Agrees, Differs, Undecided};
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    // What the machine is comes before what it mounts: its own drift also says whether the town runs.
    let power = match (status, machine.seen, machine.is_the_rows) {
        (TownStatus::Provisioning | TownStatus::Destroyed, _, _) => return Undecided,
        (_, Seen::Unknown | Seen::Present(Starting | Stopping | Destroying | Changing), _) => return Undecided,
        (TownStatus::Running | TownStatus::Stopped, Seen::Absent, false) => return Differs(Drift::MachineMissing),
        (TownStatus::Running, Seen::Absent, true) => return Differs(Drift::MachineMissing),
        (TownStatus::Stopped, Seen::Absent, true) => Agrees,
        (_, Seen::Present(On | Off | Failed), false) => return Differs(Drift::MachineReplaced),
        (TownStatus::Running, Seen::Present(Off | Failed), true) => return Differs(Drift::MachineStopped),
        (TownStatus::Stopped, Seen::Present(On), true) => return Differs(Drift::MachineStarted),
        (TownStatus::Running, Seen::Present(On), true) => Agrees,
        (TownStatus::Stopped, Seen::Present(Off | Failed), true) => Agrees,
    };
    match volume {
        VolumeComparison::There => power,
        VolumeComparison::Unknown | VolumeComparison::Unsure => Undecided,
        VolumeComparison::Moved => Differs(Drift::VolumeMoved),
        VolumeComparison::Gone => Differs(Drift::VolumeLost),
    }
}

/// A difference that was seen, and how often in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgreeingObservations {
    /// What.
    pub drift: Drift,
    /// By how many looks, none of which disagreed.
    pub looks: u32,
}

impl AgreeingObservations {
    /// What is suspected after one look more. A look that decides nothing changes nothing; one that agrees with the row,
    /// or shows something else, begins anew.
    pub fn after(before: Option<Self>, look: DriftVerdict) -> Option<Self> {
        match (before, look) {
            (_, DriftVerdict::Agrees) => None,
            (before, DriftVerdict::Undecided) => before,
            (Some(Self { drift, looks }), DriftVerdict::Differs(seen)) if drift == seen => {
                Some(Self { drift, looks: looks.saturating_add(1) })
            }
            (_, DriftVerdict::Differs(drift)) => Some(Self { drift, looks: 1 }),
        }
    }

    /// Whether it has been seen often enough to be believed.
    pub const fn is_certain(self, agreeing_observations: u32) -> bool {
        self.looks >= agreeing_observations
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn machines() -> Vec<MachineComparison> {
        let seen = [Seen::Absent, Seen::Unknown].into_iter().chain(Power::ALL.map(Seen::Present));
        seen.flat_map(|seen| [true, false].map(|is_the_rows| MachineComparison { seen, is_the_rows })).collect()
    }

    fn every_case() -> impl Iterator<Item = (TownStatus, MachineComparison, VolumeComparison)> {
        TownStatus::ALL.into_iter().flat_map(|status| {
            machines()
                .into_iter()
                .flat_map(move |machine| VolumeComparison::ALL.map(|volume| (status, machine, volume)))
        })
    }

    /// The full cross product, one row per status and machine, one column per volume: what a reviewer reads.
    #[test]
    fn the_whole_comparison_is_this_table() {
        let mut table = format!("{:<42}", "status/machine/whose");
        for volume in VolumeComparison::ALL {
            write!(table, " {:<17}", format!("{volume:?}").to_lowercase()).unwrap();
        }
        for status in TownStatus::ALL {
            for machine in machines() {
                let seen = match machine.seen {
                    Seen::Absent => "absent".to_owned(),
                    Seen::Unknown => "unclear".to_owned(),
                    Seen::Present(power) => format!("{power:?}").to_lowercase(),
                };
                let whose = if machine.is_the_rows { "the row's" } else { "another" };
                write!(table, "\n{:<42}", format!("{status}/{seen}/{whose}")).unwrap();
                for volume in VolumeComparison::ALL {
                    let cell = match compare(status, machine, volume) {
                        DriftVerdict::Agrees => "agrees".to_owned(),
                        DriftVerdict::Undecided => "-".to_owned(),
                        DriftVerdict::Differs(drift) => drift.as_str().to_uppercase(),
                    };
                    write!(table, " {cell:<17}").unwrap();
                }
            }
        }
        let table: Vec<_> = table.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn what_is_unclear_or_on_its_way_decides_nothing() {
        let undecided =
            |power| matches!(power, Power::Starting | Power::Stopping | Power::Destroying | Power::Changing);
        for (status, machine, volume) in every_case() {
            let unknown = match machine.seen {
                Seen::Unknown => true,
                Seen::Present(power) => undecided(power),
                Seen::Absent => false,
            };
            if unknown {
                assert_eq!(
                    compare(status, machine, volume),
                    DriftVerdict::Undecided,
                    "{status} {machine:?} {volume:?}"
                );
            }
        }
    }

    #[test]
    fn a_volume_is_called_lost_only_when_it_is_proven_gone() {
        for (status, machine, volume) in every_case() {
            if compare(status, machine, volume) == DriftVerdict::Differs(Drift::VolumeLost) {
                assert_eq!(volume, VolumeComparison::Gone, "{status} {machine:?}");
            }
        }
    }

    #[test]
    fn only_looks_that_agree_in_a_row_make_a_certainty() {
        let off = DriftVerdict::Differs(Drift::MachineStopped);
        let gone = DriftVerdict::Differs(Drift::MachineMissing);
        let after =
            |looks: &[DriftVerdict]| looks.iter().fold(None, |before, look| AgreeingObservations::after(before, *look));
        let certain = |looks: &[DriftVerdict]| after(looks).is_some_and(|suspicion| suspicion.is_certain(3));
        assert!(certain(&[off, off, off]));
        assert!(certain(&[off, DriftVerdict::Undecided, off, DriftVerdict::Undecided, off]));
        assert!(!certain(&[off, off]));
        assert!(!certain(&[off, off, DriftVerdict::Agrees, off]));
        assert!(!certain(&[off, off, gone, off]));
        assert_eq!(after(&[off, DriftVerdict::Agrees]), None);
    }

    #[test]
    fn every_drift_reads_back() {
        for drift in Drift::ALL {
            assert_eq!(drift.as_str().parse(), Ok(drift));
        }
    }
}
