//! What can befall a call, as HTTP.

use fly_sim::{Call, Capacity, Effect};
use serde_json::json;

/// What is told of a call.
pub(super) type Faults = fn(Call) -> Vec<Effect>;

/// Every call that the towns of one shared app need. A fault that reaches none of a kind shows nothing.
pub(super) const CALLS: [Call; 18] = [
    Call::GetApp,
    Call::ListVolumes,
    Call::CreateVolume,
    Call::GetVolume,
    Call::DeleteVolume,
    Call::ListMachines,
    Call::CreateMachine,
    Call::GetMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::Wait,
    Call::SandboxHealth,
    Call::SandboxListRigs,
    Call::SandboxAddRig,
    Call::SandboxRemoveRig,
    Call::SandboxSync,
];

/// Those of which it matters whether they were carried out.
const CHANGES: [Call; 10] = [
    Call::CreateVolume,
    Call::DeleteVolume,
    Call::CreateMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::SandboxAddRig,
    Call::SandboxRemoveRig,
    Call::SandboxSync,
];

/// Lost on the way there or back; 408, 429, 500, 503, where it changes something also after it was applied; no room, in
/// Fly's words; a list that misses its newest, or all.
pub(super) fn everything(call: Call) -> Vec<Effect> {
    let mut effects = vec![Effect::DropRequest, Effect::DropAnswer, Effect::throttled(), Effect::server_error()];
    effects.push(Effect::refusal(503, "service unavailable"));
    if CHANGES.contains(&call) {
        effects.extend([408, 500, 503].map(applied));
    } else {
        effects.push(Effect::refusal(408, "request timed out"));
    }
    effects.extend(no_room(call).iter().map(|disguise| disguise.effect()));
    if matches!(call, Call::ListMachines | Call::ListVolumes) {
        effects.extend([Effect::StaleList, Effect::EmptyList]);
    }
    effects
}

/// Where something changes: applied and not told, or told to have failed; failed; no room.
pub(super) fn the_worst(call: Call) -> Vec<Effect> {
    if !CHANGES.contains(&call) {
        return Vec::new();
    }
    let mut effects = vec![Effect::DropAnswer, applied(500), applied(503), Effect::server_error()];
    effects.extend(no_room(call).first().map(|disguise| disguise.effect()));
    effects
}

/// Done, and told to have failed.
fn applied(status: u16) -> Effect {
    Effect::ApplyThenAnswer { status, body: json!({ "error": "try again later" }) }
}

/// The ways in which Fly says to this call that there is no room.
const fn no_room(call: Call) -> &'static [Capacity] {
    use Capacity::{
        Host, HostAddresses, HostDisabled, HostGoverned, HostResources, Quota, Region, VolumeAborted, VolumeHost,
        VolumePlain,
    };
    match call {
        Call::CreateVolume => &[Region, VolumeAborted, VolumePlain, Quota, HostDisabled],
        Call::CreateMachine => &[Region, VolumeHost, Host, HostResources, HostDisabled, Quota],
        Call::StartMachine => &[Host, HostAddresses, HostGoverned, HostDisabled],
        Call::UpdateMachine => &[Host, HostResources, HostDisabled],
        _ => &[],
    }
}
