//! Fly's answers when it has no capacity.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{faults::Effect, route::Call};

/// An answer that means missing capacity. Some have a code, but most are recognizable by their text only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// 422 on create: no host of the region has room.
    Region,
    /// 412 on machine create: the volume's host is full.
    VolumeHost,
    /// 409 on start or update: the machine's host is full.
    Host,
    /// 409 on start: the host has no addresses left.
    HostAddresses,
    /// 409 on create: every host was tried.
    HostResources,
    /// 409 on start: a policy of the platform blocks the host.
    HostGoverned,
    /// 409: the host is being drained.
    HostDisabled,
    /// 409 on volume create: the region is full.
    VolumeAborted,
    /// 400 on volume create: the region is full.
    VolumePlain,
    /// 403 on create: the organization's memory quota in the region is exhausted.
    Quota,
}

impl Capacity {
    /// All answers.
    pub const ALL: [Self; 10] = [
        Self::Region,
        Self::VolumeHost,
        Self::Host,
        Self::HostAddresses,
        Self::HostResources,
        Self::HostGoverned,
        Self::HostDisabled,
        Self::VolumeAborted,
        Self::VolumePlain,
        Self::Quota,
    ];

    /// Returns the calls that Fly answers so.
    pub const fn calls(self) -> &'static [Call] {
        match self {
            Self::Region | Self::Quota | Self::HostDisabled => &[Call::CreateVolume, Call::CreateMachine],
            Self::VolumeHost | Self::HostResources => &[Call::CreateMachine],
            Self::Host => &[Call::StartMachine, Call::UpdateMachine],
            Self::HostAddresses | Self::HostGoverned => &[Call::StartMachine],
            Self::VolumeAborted | Self::VolumePlain => &[Call::CreateVolume],
        }
    }

    /// Returns the effect that gives this answer.
    pub fn effect(self) -> Effect {
        let (status, text) = self.answer();
        let mut body = json!({ "error": text });
        if let Some(code) = self.code() {
            body["status"] = json!(code);
        }
        Effect::Answer { status, body }
    }

    /// Returns the status and the text.
    const fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Region => (422, "could not find a candidate host"),
            Self::VolumeHost => (412, "insufficient resources to create new machine with existing volume"),
            Self::Host => (
                409,
                "aborted: could not reserve resource for machine: insufficient memory available to fulfill request",
            ),
            Self::HostAddresses => (409, "aborted: insufficient IPs available to fulfill request"),
            Self::HostResources => (
                409,
                "aborted: insufficient resources available to fulfill request: insufficient CPUs available to fulfill \
                 request",
            ),
            Self::HostGoverned => (409, "governor policy blocked start"),
            Self::HostDisabled => (409, "deploys to this host are temporarily disabled, please try again later"),
            Self::VolumeAborted => (409, "aborted: no capacity"),
            Self::VolumePlain => (400, "no capacity"),
            Self::Quota => (
                403,
                "organization \"personal\" is using 262144 MB of memory in iad which is over the allowed quota. \
                 please consider other regions",
            ),
        }
    }

    /// Returns the machine-readable `status` beside the text, if Fly gives one.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Region => Some("insufficient_capacity"),
            Self::VolumeHost => Some("volume_placement_capacity"),
            Self::Host
            | Self::HostAddresses
            | Self::HostResources
            | Self::HostGoverned
            | Self::HostDisabled
            | Self::VolumeAborted
            | Self::VolumePlain
            | Self::Quota => None,
        }
    }
}
