//! Drift: external changes of an idle town, found by comparing its row with what was observed.
//!
//! Pure, like the plan. One observation decides nothing; several that agree do. Unknown and changing states do not count
//! (FM-23).

use crate::text_enum::text_enum;
use crate::{Power, Recorded, Seen, TownStatus};

text_enum! {
    expected "a known drift";
    /// A difference between a town and its row.
    pub enum Drift {
        /// The row says running, and the machine is off or has failed.
        MachineStopped = "machine_stopped",
        /// The row says stopped, and the machine is on.
        MachineStarted = "machine_started",
        /// The recorded machine is proven absent. The volume is not observed for that.
        MachineMissing = "machine_missing",
        /// Another machine has the town's name. The provider or an operator created it.
        MachineReplaced = "machine_replaced",
        /// The provider has moved the data to another volume, which the town's machine mounts.
        VolumeMoved = "volume_moved",
        /// The recorded volume is proven absent, and no other has the town's name. It is never replaced by an empty one
        /// (FM-22).
        VolumeLost = "volume_lost",
    }
}

impl Drift {
    /// Returns the text for the town's owner.
    pub const fn message(self) -> &'static str {
        match self {
            Self::MachineStopped => "the machine was stopped from outside; start the town to continue",
            Self::MachineStarted => "the machine was started from outside",
            Self::MachineMissing => {
                "the machine was removed from outside; start the town to get a new machine on its volume"
            }
            Self::MachineReplaced => "the machine was replaced from outside",
            Self::VolumeMoved => "the volume was moved to another host",
            Self::VolumeLost => {
                "the town's volume is lost and was not replaced by an empty one; restore the town from R2, or contact support"
            }
        }
    }
}

impl Recorded<Drift> {
    /// Returns the text for the town's owner.
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Known(drift) => drift.message(),
            Self::Newer(_) => "the town was changed from outside; look at the town's events for the change",
        }
    }
}

/// The recorded machine of a town, or the one with its name, as it was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineComparison {
    /// The observation. `Absent` is proven: the app answers, does not know the recorded id, and the name is free.
    pub seen: Seen<Power>,
    /// True if it is the recorded machine, or if none is recorded and none exists.
    pub is_recorded: bool,
}

/// The recorded volume of a town, as it was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeComparison {
    /// It could not be observed.
    Unknown,
    /// It exists.
    There,
    /// It is proven absent, and the machine mounts another one of the town's name.
    Moved,
    /// It is proven absent by two different reads, and no other has the town's name.
    Gone,
    /// It is proven absent, and another one of the town's name exists unused. The origin of its data is not known.
    Unsure,
}

impl VolumeComparison {
    /// Every observation.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::There, Self::Moved, Self::Gone, Self::Unsure];
}

/// The verdict on one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftVerdict {
    /// The row is right.
    Agrees,
    /// Nothing can be decided now.
    Undecided,
    /// The row is wrong.
    Differs(Drift),
}

/// Compares an idle town with what was observed. A town that starts or goes away is left to the reconciler.
///
/// ```
/// use gastown_domain::{DriftVerdict, Drift, MachineComparison, Power, Seen, TownStatus, VolumeComparison, compare};
/// let off = MachineComparison { seen: Seen::Present(Power::Off), is_recorded: true };
/// assert_eq!(compare(TownStatus::Running, off, VolumeComparison::There), DriftVerdict::Differs(Drift::MachineStopped));
/// // A machine that is changing decides nothing.
/// let stopping = MachineComparison { seen: Seen::Present(Power::Stopping), is_recorded: true };
/// assert_eq!(compare(TownStatus::Running, stopping, VolumeComparison::There), DriftVerdict::Undecided);
/// ```
pub const fn compare(status: TownStatus, machine: MachineComparison, volume: VolumeComparison) -> DriftVerdict {
    use DriftVerdict::{Agrees, Differs, Undecided};
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    // The machine comes before its volume, because its drift also tells if the town runs.
    let power = match (status, machine.seen, machine.is_recorded) {
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

/// A difference, and the number of observations in a row that agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgreeingObservations {
    /// The difference.
    pub drift: Drift,
    /// The number of agreeing observations.
    pub looks: u32,
}

impl AgreeingObservations {
    /// Returns the agreeing observations after one more comparison. An undecided one changes nothing. One that agrees with
    /// the row, or shows another difference, starts again.
    pub fn after(before: Option<Self>, verdict: DriftVerdict) -> Option<Self> {
        match (before, verdict) {
            (_, DriftVerdict::Agrees) => None,
            (before, DriftVerdict::Undecided) => before,
            (Some(Self { drift, looks }), DriftVerdict::Differs(seen)) if drift == seen => {
                Some(Self { drift, looks: looks.saturating_add(1) })
            }
            (_, DriftVerdict::Differs(drift)) => Some(Self { drift, looks: 1 }),
        }
    }

    /// Returns true once enough observations agree.
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
        seen.flat_map(|seen| [true, false].map(|is_recorded| MachineComparison { seen, is_recorded })).collect()
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
    fn comparisons_match_the_reviewed_table() {
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
                let whose = if machine.is_recorded { "the row's" } else { "another" };
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
    fn unknown_and_changing_states_decide_nothing() {
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
    fn a_volume_is_lost_only_when_it_is_proven_absent() {
        for (status, machine, volume) in every_case() {
            if compare(status, machine, volume) == DriftVerdict::Differs(Drift::VolumeLost) {
                assert_eq!(volume, VolumeComparison::Gone, "{status} {machine:?}");
            }
        }
    }

    #[test]
    fn only_agreeing_observations_in_a_row_are_certain() {
        let off = DriftVerdict::Differs(Drift::MachineStopped);
        let gone = DriftVerdict::Differs(Drift::MachineMissing);
        let after = |verdicts: &[DriftVerdict]| {
            verdicts.iter().fold(None, |before, verdict| AgreeingObservations::after(before, *verdict))
        };
        let certain = |verdicts: &[DriftVerdict]| after(verdicts).is_some_and(|agreeing| agreeing.is_certain(3));
        assert!(certain(&[off, off, off]));
        assert!(certain(&[off, DriftVerdict::Undecided, off, DriftVerdict::Undecided, off]));
        assert!(!certain(&[off, off]));
        assert!(!certain(&[off, off, DriftVerdict::Agrees, off]));
        assert!(!certain(&[off, off, gone, off]));
        assert_eq!(after(&[off, DriftVerdict::Agrees]), None);
    }

    #[test]
    fn drifts_parse_from_their_texts() {
        for drift in Drift::ALL {
            assert_eq!(drift.as_str().parse(), Ok(drift));
        }
    }
}
