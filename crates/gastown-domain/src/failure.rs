//! Why an operation could not reach its goal, as a value that is stored, shown and decided upon.

use crate::text_enum::text_enum;

text_enum! {
    expected "a known failure code";
    /// The cause of a failed or delayed operation. Stored by its code; what a user reads comes from [`Failure::message`].
    /// It never carries a provider's text.
    pub enum Failure {
        /// No region of the list has room.
        NoCapacity = "no_capacity",
        /// The provider refused the volume for good.
        VolumeRefused = "volume_refused",
        /// The provider refused the machine for good.
        MachineRefused = "machine_refused",
        /// The machine was made and did not start in time.
        MachineNeverStarted = "machine_never_started",
        /// The machine started and ended by itself, or is in state `failed`.
        MachineFailed = "machine_failed",
        /// The machine runs and its sandbox does not answer as it should.
        SandboxUnhealthy = "sandbox_unhealthy",
        /// The town's volume is gone; it is not replaced by an empty one (FM-22).
        VolumeLost = "volume_lost",
        /// The provider limits our calls.
        Throttled = "throttled",
        /// The provider does not answer, or answers with errors of its own.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refuses our credentials or our app.
        ProviderMisconfigured = "provider_misconfigured",
        /// The machine's name is held by a machine that is not the town's.
        NameTaken = "name_taken",
        /// Another process holds or changes the machine.
        MachineBusy = "machine_busy",
        /// A volume stays bound to its machine.
        VolumeBound = "volume_bound",
        /// Secrets could not be sealed, or a token not minted.
        SecretsUnavailable = "secrets_unavailable",
        /// A destroy took the town over.
        Preempted = "preempted",
        /// The owner's account is gone or may not have a token.
        OwnerUnknown = "owner_unknown",
    }
}

impl Failure {
    /// The code that is stored and shown to programs.
    pub const fn code(self) -> &'static str {
        self.as_str()
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
