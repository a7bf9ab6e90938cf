//! Maps Fly's machines and volumes to the domain's observations. An unknown state never means gone (FM-31).

use gastown_domain::{
    Power,
    ports::{Action, ObservedMachine, ObservedVolume, ProviderError},
};

use super::{errors::invalid_answer, names::FlyRegion};
use crate::api::{
    machines::{Machine, MachineState},
    volumes::{Volume, VolumeState},
};

/// An object as the domain observes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mapped<T> {
    /// It exists.
    Present(T),
    /// Fly shows it, but it is destroyed.
    Destroyed,
    /// Its id is not valid, so the answer is not used.
    Invalid,
}

impl<T> Mapped<T> {
    /// Returns the object, `None` for a destroyed one, and an error for an invalid one.
    pub(crate) fn present(self, action: Action) -> Result<Option<T>, ProviderError> {
        match self {
            Self::Present(observed) => Ok(Some(observed)),
            Self::Destroyed => Ok(None),
            Self::Invalid => Err(invalid_answer(action)),
        }
    }
}

pub(crate) fn machine(machine: &Machine) -> Mapped<ObservedMachine> {
    let Ok(id) = machine.id.parse() else { return Mapped::Invalid };
    let Some(power) = power(&machine.state, machine.host_answers()) else {
        return Mapped::Destroyed;
    };
    let volume = machine.volume().and_then(|volume| volume.parse().ok());
    Mapped::Present(ObservedMachine { id, power, volume })
}

/// Returns the power of a machine, or `None` for a destroyed one.
fn power(state: &MachineState, host_answers: bool) -> Option<Power> {
    use MachineState::{
        Created, Creating, Destroyed, Destroying, Failed, LaunchFailed, Migrated, Other, Replaced, Replacing,
        Restarting, Started, Starting, Stopped, Stopping, Suspended, Suspending, Updating,
    };
    Some(match (state, host_answers) {
        (Destroyed, true) => return None,
        // Only flagged. The host has not destroyed it yet.
        (Destroyed, false) | (Destroying, _) => Power::Destroying,
        (_, false) => Power::Changing,
        (Creating | Created | Starting | Restarting, true) => Power::Starting,
        (Started, true) => Power::On,
        (Stopping | Suspending, true) => Power::Stopping,
        (Stopped | Suspended, true) => Power::Off,
        (Failed | LaunchFailed, true) => Power::Failed,
        // It returns to its state from before, which is not known here.
        (Updating | Replacing, true) => Power::Changing,
        (Replaced | Migrated | Other, true) => Power::Changing,
    })
}

pub(crate) fn volume(volume: &Volume) -> Mapped<ObservedVolume> {
    let Some(destroying) = destroying(&volume.state, volume.host_answers()) else {
        return Mapped::Destroyed;
    };
    let Ok(id) = volume.id.parse() else { return Mapped::Invalid };
    // Only a step that places a machine needs the region.
    let region = volume.region.as_deref().and_then(|region| region.parse::<FlyRegion>().ok()).map(Into::into);
    // The claim of a machine that is long gone was seen as NUL bytes, which are not an id.
    let bound_to = volume.attached_machine_id.as_deref().and_then(|machine| machine.parse().ok());
    Mapped::Present(ObservedVolume { id, region, destroying, bound_to })
}

/// Returns whether a volume's deletion is under way, or `None` for a destroyed volume.
fn destroying(state: &VolumeState, host_answers: bool) -> Option<bool> {
    use VolumeState::{
        Created, Creating, Destroyed, Destroying, EnablingRemoteExport, Extending, ForkCleanup, Hydrating, Other,
        PendingDestroy, Recovering, Restoring, SchedulingDestroy, WaitingForDetach,
    };
    match (state, host_answers) {
        (Destroyed | PendingDestroy, true) => None,
        (Destroyed | PendingDestroy, false) => Some(true),
        (SchedulingDestroy | ForkCleanup | WaitingForDetach | Destroying, _) => Some(true),
        (Creating | Created | Extending | Restoring | EnablingRemoteExport | Hydrating | Recovering | Other, _) => {
            Some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    const MACHINE_STATES: [&str; 19] = [
        "creating",
        "created",
        "starting",
        "started",
        "stopping",
        "stopped",
        "suspending",
        "suspended",
        "restarting",
        "updating",
        "replacing",
        "replaced",
        "migrated",
        "failed",
        "launch_failed",
        "destroying",
        "destroyed",
        "a_future_state",
        "",
    ];

    #[test]
    fn every_machine_state_maps_to_a_power() {
        let mut table = String::new();
        for state in MACHINE_STATES {
            let mut row = format!("{state:<20}");
            for host in [json!("ok"), json!(null), json!("unreachable"), json!("unknown")] {
                let shown: Machine =
                    serde_json::from_value(json!({ "id": "148e", "state": state, "host_status": host })).unwrap();
                let power = match machine(&shown) {
                    Mapped::Present(observed) => format!("{:?}", observed.power),
                    Mapped::Destroyed => "(destroyed)".to_owned(),
                    Mapped::Invalid => "(invalid)".to_owned(),
                };
                write!(row, " {host:<13} {power:<11}", host = host.to_string()).unwrap();
            }
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_volume_is_destroyed_once_its_deletion_is_accepted() {
        const OK: &str = "ok";
        const DOWN: &str = "unreachable";
        for (state, host, want) in [
            ("creating", OK, Some(false)),
            ("created", OK, Some(false)),
            ("created", DOWN, Some(false)),
            ("extending", OK, Some(false)),
            ("restoring", OK, Some(false)),
            ("enabling_remote_export", OK, Some(false)),
            ("hydrating", OK, Some(false)),
            ("recovering", OK, Some(false)),
            ("a_future_state", OK, Some(false)),
            ("a_future_state", DOWN, Some(false)),
            ("", OK, Some(false)),
            ("scheduling_destroy", OK, Some(true)),
            ("fork_cleanup", OK, Some(true)),
            ("waiting_for_detach", OK, Some(true)),
            ("destroying", OK, Some(true)),
            ("pending_destroy", OK, None),
            ("destroyed", OK, None),
            // Flagged. The host has not deleted it yet.
            ("pending_destroy", DOWN, Some(true)),
            ("destroyed", DOWN, Some(true)),
        ] {
            let shown = json!({ "id": "vol_1", "state": state, "region": "iad", "host_status": host });
            let shown: Volume = serde_json::from_value(shown).unwrap();
            let destroying = match volume(&shown) {
                Mapped::Present(observed) => Some(observed.destroying),
                Mapped::Destroyed => None,
                Mapped::Invalid => panic!("{state} {host} is invalid"),
            };
            assert_eq!(destroying, want, "{state} {host}");
        }
    }

    #[test]
    fn an_object_without_a_valid_id_is_invalid() {
        let nameless: Machine = serde_json::from_value(json!({ "id": "../x", "state": "started" })).unwrap();
        assert_eq!(machine(&nameless), Mapped::Invalid);
        let nameless: Volume = serde_json::from_value(json!({ "id": "../x", "region": "iad" })).unwrap();
        assert_eq!(volume(&nameless), Mapped::Invalid);
        let claimed: Volume = serde_json::from_value(
            json!({ "id": "vol_1", "state": "created", "region": "iad", "attached_machine_id": "\0\0\0" }),
        )
        .unwrap();
        let Mapped::Present(observed) = volume(&claimed) else { panic!("not present") };
        assert_eq!(observed.bound_to, None);
    }

    #[test]
    fn a_volume_without_a_readable_region_is_present() {
        for region in [json!(null), json!(""), json!("IAD"), json!("../x")] {
            let shown = json!({ "id": "vol_1", "state": "created", "region": region });
            let Mapped::Present(observed) = volume(&serde_json::from_value(shown).unwrap()) else {
                panic!("{region} hides the volume");
            };
            assert_eq!(observed.region, None, "{region}");
        }
        let without: Volume = serde_json::from_value(json!({ "id": "vol_1", "state": "destroyed" })).unwrap();
        assert_eq!(volume(&without), Mapped::Destroyed);
    }
}
