//! The causes of failed operations, as values that are stored, shown and decided upon.

use crate::text_enum::text_enum;

text_enum! {
    expected "a known failure code";
    /// The cause of a failed or delayed operation. Its code is stable. Its text for users never has a provider's words.
    pub enum Failure {
        /// No region of the list has room.
        NoCapacity = "no_capacity",
        /// The provider refused the volume for good.
        VolumeRefused = "volume_refused",
        /// The provider refused the machine for good.
        MachineRefused = "machine_refused",
        /// The machine was created and did not start in time.
        MachineNeverStarted = "machine_never_started",
        /// The machine started and exited, or is in state `failed`.
        MachineFailed = "machine_failed",
        /// The machine runs, and its sandbox does not answer as expected.
        SandboxUnhealthy = "sandbox_unhealthy",
        /// The town's volume is lost. It is not replaced by an empty one (FM-22).
        VolumeLost = "volume_lost",
        /// The provider limits our calls.
        Throttled = "throttled",
        /// The provider does not answer, or answers with errors of its own.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refuses our credentials, app, account, image or every region of the list.
        ProviderMisconfigured = "provider_misconfigured",
        /// The machine's name belongs to a machine that is not the town's.
        NameTaken = "name_taken",
        /// Another process is changing the machine.
        MachineBusy = "machine_busy",
        /// The volume is still attached to its machine.
        VolumeBound = "volume_bound",
        /// The town's secrets could not be sealed, or its token could not be minted.
        SecretsUnavailable = "secrets_unavailable",
        /// A destroy pre-empted the operation.
        Preempted = "preempted",
        /// A restore found the town's volume, or another one of its name.
        VolumeFound = "volume_found",
        /// The sandbox did not restore the data from R2.
        DataNotRestored = "data_not_restored",
        /// The owner's account is gone or may not have a token.
        OwnerUnknown = "owner_unknown",
        /// The host application has blocked the owner.
        OwnerBlocked = "owner_blocked",
        /// A failure that a newer version recorded (FM-59).
        Unrecognized = "unrecognized",
    }
}

impl Failure {
    /// Returns the code that is stored and shown to programs.
    pub const fn code(self) -> &'static str {
        self.as_str()
    }

    /// Returns the text for users: what happened and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoCapacity => "no region has capacity for the machine; try again later or choose another region",
            Self::VolumeRefused => "the provider refused to create the volume",
            Self::MachineRefused => "the provider refused to create or update the machine",
            Self::MachineNeverStarted => "the machine did not start in time",
            Self::MachineFailed => "the machine started and failed",
            Self::SandboxUnhealthy => "the machine runs, but its sandbox does not answer; try again later",
            Self::VolumeLost => {
                "the town's volume is lost and was not replaced by an empty one; restore the town from R2, or contact support"
            }
            Self::Throttled => "the provider is rate-limiting requests; try again later",
            Self::ProviderUnavailable => "the provider is unavailable; try again later",
            Self::ProviderMisconfigured => "the provider rejects the service's account or settings; contact support",
            Self::NameTaken => "the machine's name is already taken at the provider; contact support",
            Self::MachineBusy => "the machine is being changed by another process; try again later",
            Self::VolumeBound => "the volume is still attached to its machine; it is deleted later",
            Self::SecretsUnavailable => "the town's secrets could not be prepared; contact support",
            Self::Preempted => "the town was destroyed during the operation",
            Self::VolumeFound => {
                "a volume of the town exists, so nothing was restored; start the town, or contact support"
            }
            Self::DataNotRestored => "the sandbox did not restore the data from R2; try again later or contact support",
            Self::OwnerUnknown => "the owner's account no longer exists",
            Self::OwnerBlocked => "the owner's account is blocked; contact support",
            Self::Unrecognized => "the operation failed; look at the town's events for the cause",
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
    fn failure_codes_parse_from_their_texts() {
        for failure in Failure::ALL {
            assert_eq!(failure.code().parse(), Ok(failure));
        }
        assert!("other".parse::<Failure>().is_err());
    }
}
