//! What Fly shows → what the domain sees. Unknown never means gone (FM-31).

use gastown_domain::{
    Power, Region,
    ports::{ObservedMachine, ObservedVolume},
};

use crate::api::{
    machines::{Machine, MachineState},
    volumes::{Volume, VolumeState},
};

/// An object of Fly's, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sighted<T> {
    /// It is there.
    There(T),
    /// It is shown, and it is gone for good.
    Gone,
    /// An id or region that cannot be one: the answer is not believed.
    Rubbish,
}

pub(crate) fn machine(machine: &Machine) -> Sighted<ObservedMachine> {
    let Ok(id) = machine.id.parse() else { return Sighted::Rubbish };
    let Some(power) = power(&machine.state, machine.host_answers()) else {
        return Sighted::Gone;
    };
    let volume = machine.volume().and_then(|volume| volume.parse().ok());
    Sighted::There(ObservedMachine { id, power, volume })
}

/// `None`: destroyed.
fn power(state: &MachineState, host_answers: bool) -> Option<Power> {
    use MachineState::{
        Created, Creating, Destroyed, Destroying, Failed, LaunchFailed, Migrated, Other, Replaced, Replacing,
        Restarting, Started, Starting, Stopped, Stopping, Suspended, Suspending, Updating,
    };
    Some(match (state, host_answers) {
        (Destroyed, true) => return None,
        // Only flagged: the host has not done it.
        (Destroyed, false) | (Destroying, _) => Power::Destroying,
        (_, false) => Power::Changing,
        (Creating | Created | Starting | Restarting, true) => Power::Starting,
        (Started, true) => Power::On,
        (Stopping | Suspending, true) => Power::Stopping,
        (Stopped | Suspended, true) => Power::Off,
        (Failed | LaunchFailed, true) => Power::Failed,
        // Goes back to whatever it was, which the state does not tell: waiting for either would be a guess.
        (Updating | Replacing, true) => Power::Changing,
        (Replaced | Migrated | Other, true) => Power::Changing,
    })
}

pub(crate) fn volume(volume: &Volume) -> Sighted<ObservedVolume> {
    let host_answers = volume.host_answers();
    let destroying = match (&volume.state, host_answers) {
        (VolumeState::Destroyed | VolumeState::PendingDestroy, true) => return Sighted::Gone,
        (VolumeState::Destroyed | VolumeState::PendingDestroy, false) => true,
        (
            VolumeState::SchedulingDestroy
            | VolumeState::ForkCleanup
            | VolumeState::WaitingForDetach
            | VolumeState::Destroying,
            _,
        ) => true,
        (
            VolumeState::Creating
            | VolumeState::Created
            | VolumeState::Extending
            | VolumeState::Restoring
            | VolumeState::EnablingRemoteExport
            | VolumeState::Hydrating
            | VolumeState::Recovering
            | VolumeState::Other,
            _,
        ) => false,
    };
    let (Ok(id), Ok(region)) = (volume.id.parse(), volume.region.parse::<Region>()) else { return Sighted::Rubbish };
    // A claim by a machine that is long gone was seen to be shown as NUL bytes: no id, so nobody.
    let bound_to = volume.attached_machine_id.as_deref().and_then(|machine| machine.parse().ok());
    Sighted::There(ObservedVolume { id, region, destroying, bound_to })
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
        "a_word_of_tomorrow",
        "",
    ];

    #[test]
    fn every_state_of_a_machine_has_its_power() {
        let mut table = String::new();
        for state in MACHINE_STATES {
            let mut row = format!("{state:<20}");
            for host in [json!("ok"), json!(null), json!("unreachable"), json!("unknown")] {
                let shown: Machine =
                    serde_json::from_value(json!({ "id": "148e", "state": state, "host_status": host })).unwrap();
                let seen = match machine(&shown) {
                    Sighted::There(sighting) => format!("{:?}", sighting.power),
                    Sighted::Gone => "gone".to_owned(),
                    Sighted::Rubbish => "rubbish".to_owned(),
                };
                write!(row, " {host:<13} {seen:<9}", host = host.to_string()).unwrap();
            }
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_deleted_volume_is_gone_once_its_deletion_is_accepted() {
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
            ("a_word_of_tomorrow", OK, Some(false)),
            ("a_word_of_tomorrow", DOWN, Some(false)),
            ("", OK, Some(false)),
            ("scheduling_destroy", OK, Some(true)),
            ("fork_cleanup", OK, Some(true)),
            ("waiting_for_detach", OK, Some(true)),
            ("destroying", OK, Some(true)),
            ("pending_destroy", OK, None),
            ("destroyed", OK, None),
            // Flagged, and its host has not done it.
            ("pending_destroy", DOWN, Some(true)),
            ("destroyed", DOWN, Some(true)),
        ] {
            let shown = json!({ "id": "vol_1", "state": state, "region": "iad", "host_status": host });
            let shown: Volume = serde_json::from_value(shown).unwrap();
            let destroying = match volume(&shown) {
                Sighted::There(sighting) => Some(sighting.destroying),
                Sighted::Gone => None,
                Sighted::Rubbish => panic!("{state} {host} is believed"),
            };
            assert_eq!(destroying, want, "{state} {host}");
        }
    }

    #[test]
    fn what_has_no_usable_id_is_not_believed() {
        let nameless: Machine = serde_json::from_value(json!({ "id": "../x", "state": "started" })).unwrap();
        assert_eq!(machine(&nameless), Sighted::Rubbish);
        let nowhere: Volume = serde_json::from_value(json!({ "id": "vol_1", "state": "created" })).unwrap();
        assert_eq!(volume(&nowhere), Sighted::Rubbish);
        let claimed: Volume = serde_json::from_value(
            json!({ "id": "vol_1", "state": "created", "region": "iad", "attached_machine_id": "\0\0\0" }),
        )
        .unwrap();
        let Sighted::There(sighting) = volume(&claimed) else { panic!("there") };
        assert_eq!(sighting.bound_to, None);
    }
}
