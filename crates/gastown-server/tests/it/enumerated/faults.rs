//! What can befall a call, as HTTP.

use fly_sim::{Call, Capacity, Effect};
use serde_json::Value;

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

/// Dropped request, dropped answer, 408, 429, 500, 503; no room, in Fly's words; a list that misses its newest.
pub(super) fn everything(call: Call) -> Vec<Effect> {
    let applied_though_timed_out = Effect::ApplyThenAnswer { status: 408, body: Value::Null };
    let unavailable = Effect::refusal(503, "service unavailable");
    let mut effects =
        vec![Effect::DropRequest, Effect::DropAnswer, applied_though_timed_out, Effect::throttled(), unavailable];
    effects.push(Effect::server_error());
    let full = |disguises: &[Capacity]| disguises.iter().map(|disguise| disguise.effect()).collect::<Vec<_>>();
    effects.extend(match call {
        Call::CreateVolume => {
            full(&[Capacity::Region, Capacity::VolumeAborted, Capacity::VolumePlain, Capacity::Quota])
        }
        Call::CreateMachine => full(&[Capacity::Region, Capacity::VolumeHost, Capacity::Host, Capacity::Quota]),
        Call::StartMachine | Call::UpdateMachine => full(&[Capacity::Host]),
        Call::ListMachines | Call::ListVolumes => vec![Effect::StaleList],
        _ => Vec::new(),
    });
    effects
}

/// Where something changes: applied and not told, told to have failed and not applied.
pub(super) fn the_worst(call: Call) -> Vec<Effect> {
    match call {
        Call::CreateVolume | Call::CreateMachine | Call::UpdateMachine | Call::StartMachine | Call::StopMachine => {}
        Call::DeleteMachine | Call::DeleteVolume | Call::SandboxAddRig | Call::SandboxRemoveRig => {}
        _ => return Vec::new(),
    }
    vec![Effect::DropAnswer, Effect::server_error()]
}
