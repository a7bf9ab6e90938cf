//! The faults of a call, as HTTP.

use fly_sim::{Call, Capacity, Effect};
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_HEALTH, SANDBOX_LIST_RIGS, SANDBOX_REMOVE_RIG, SANDBOX_SYNC};
use serde_json::json;

/// Returns the faults of a call.
pub(super) type Faults = fn(Call) -> Vec<Effect>;

/// Every kind of call that an undisturbed life makes in a shared app. Each must be reached by a fault. Lists are for disturbed
/// lives, and the faults of the orchestrator's suite reach them.
pub(super) const CALLS: [Call; 16] = [
    Call::GetApp,
    Call::CreateVolume,
    Call::GetVolume,
    Call::DeleteVolume,
    Call::CreateMachine,
    Call::GetMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::Wait,
    SANDBOX_HEALTH,
    SANDBOX_LIST_RIGS,
    SANDBOX_ADD_RIG,
    SANDBOX_REMOVE_RIG,
    SANDBOX_SYNC,
];

/// The calls with an effect.
const CHANGES: [Call; 10] = [
    Call::CreateVolume,
    Call::DeleteVolume,
    Call::CreateMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    SANDBOX_ADD_RIG,
    SANDBOX_REMOVE_RIG,
    SANDBOX_SYNC,
];

/// All faults: a lost request or answer, 408, 429, 500, 503, no capacity, stale and empty lists. Calls with an effect also
/// fail after it was applied.
pub(super) fn everything(call: Call) -> Vec<Effect> {
    let mut effects = vec![Effect::DropRequest, Effect::DropAnswer, Effect::throttled(), Effect::server_error()];
    effects.push(Effect::refusal(503, "service unavailable"));
    if CHANGES.contains(&call) {
        effects.extend([408, 500, 503].map(applied));
    } else {
        effects.push(Effect::refusal(408, "request timed out"));
    }
    effects.extend(no_room(call).iter().map(|refusal| refusal.effect()));
    if matches!(call, Call::ListMachines | Call::ListVolumes) {
        effects.extend([Effect::StaleList, Effect::EmptyList]);
    }
    effects
}

/// The worst faults of calls with an effect: applied with a lost or failed answer, failed, no capacity.
pub(super) fn the_worst(call: Call) -> Vec<Effect> {
    if !CHANGES.contains(&call) {
        return Vec::new();
    }
    let mut effects = vec![Effect::DropAnswer, applied(500), applied(503), Effect::server_error()];
    effects.extend(no_room(call).first().map(|refusal| refusal.effect()));
    effects
}

/// The call is applied, and its answer is an error.
fn applied(status: u16) -> Effect {
    Effect::ApplyThenAnswer { status, body: json!({ "error": "try again later" }) }
}

/// Returns the forms in which Fly refuses this call for lack of capacity.
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
