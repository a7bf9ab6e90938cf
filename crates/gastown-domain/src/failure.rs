//! Why an operation could not reach its goal, as a value that is stored, shown and decided upon.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The cause of a failed or delayed operation. Stored by its code; what a user reads comes from [`Failure::message`].
/// It never carries a provider's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No region of the list has room.
    NoCapacity,
    /// The provider refused the volume for good.
    VolumeRefused,
    /// The provider refused the machine for good.
    MachineRefused,
    /// The machine was made and did not start in time.
    MachineNeverStarted,
    /// The machine started and ended by itself, or is in state `failed`.
    MachineFailed,
    /// The machine runs and its sandbox does not answer as it should.
    SandboxUnhealthy,
    /// The town's volume is gone; it is not replaced by an empty one (FM-22).
    VolumeLost,
    /// The provider limits our calls.
    Throttled,
    /// The provider does not answer, or answers with errors of its own.
    ProviderUnavailable,
    /// The provider refuses our credentials or our app.
    ProviderMisconfigured,
    /// The machine's name is held by a machine that is not the town's.
    NameTaken,
    /// Another process holds or changes the machine.
    MachineBusy,
    /// A volume stays bound to its machine.
    VolumeBound,
    /// Secrets could not be sealed, or a token not minted.
    SecretsUnavailable,
    /// The registry could not be written.
    RegistryUnavailable,
    /// A destroy took the town over.
    Preempted,
    /// The owner's account is gone or may not have a token.
    OwnerUnknown,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 17] = [
        Self::NoCapacity,
        Self::VolumeRefused,
        Self::MachineRefused,
        Self::MachineNeverStarted,
        Self::MachineFailed,
        Self::SandboxUnhealthy,
        Self::VolumeLost,
        Self::Throttled,
        Self::ProviderUnavailable,
        Self::ProviderMisconfigured,
        Self::NameTaken,
        Self::MachineBusy,
        Self::VolumeBound,
        Self::SecretsUnavailable,
        Self::RegistryUnavailable,
        Self::Preempted,
        Self::OwnerUnknown,
    ];

    /// The code that is stored and shown to programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoCapacity => "no_capacity",
            Self::VolumeRefused => "volume_refused",
            Self::MachineRefused => "machine_refused",
            Self::MachineNeverStarted => "machine_never_started",
            Self::MachineFailed => "machine_failed",
            Self::SandboxUnhealthy => "sandbox_unhealthy",
            Self::VolumeLost => "volume_lost",
            Self::Throttled => "throttled",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderMisconfigured => "provider_misconfigured",
            Self::NameTaken => "name_taken",
            Self::MachineBusy => "machine_busy",
            Self::VolumeBound => "volume_bound",
            Self::SecretsUnavailable => "secrets_unavailable",
            Self::RegistryUnavailable => "registry_unavailable",
            Self::Preempted => "preempted",
            Self::OwnerUnknown => "owner_unknown",
        }
    }

    /// What a user reads: what happened, and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoCapacity => "no region has room for the machine right now; try again later or name another region",
            Self::VolumeRefused => "the provider refused to create the volume",
            Self::MachineRefused => "the provider refused to create the machine",
            Self::MachineNeverStarted => "the machine did not start in time",
            Self::MachineFailed => "the machine started and failed",
            Self::SandboxUnhealthy => "the machine runs, but its sandbox does not answer; try again later",
            Self::VolumeLost => {
                "the town's volume is missing; it is not replaced by an empty one, please contact support"
            }
            Self::Throttled => "the provider limits our requests right now; try again later",
            Self::ProviderUnavailable => "the provider does not answer right now; try again later",
            Self::ProviderMisconfigured => "the provider refuses our requests; please contact support",
            Self::NameTaken => "the machine's name is taken at the provider; please contact support",
            Self::MachineBusy => "the machine is being changed by somebody else; try again later",
            Self::VolumeBound => "the volume is still bound to its machine; it will be removed later",
            Self::SecretsUnavailable => "the town's secrets could not be prepared; please contact support",
            Self::RegistryUnavailable => "the registry is not available right now; try again later",
            Self::Preempted => "the town was destroyed meanwhile",
            Self::OwnerUnknown => "the owner's account is not known any more",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl FromStr for Failure {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|failure| failure.code() == raw)
            .ok_or(Invalid::Shape { expected: "a known failure code" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for failure in Failure::ALL {
            assert_eq!(failure.code().parse(), Ok(failure));
        }
        assert!("other".parse::<Failure>().is_err());
    }
}
