//! The errors of the Machines API: status, text and code, as Fly gives them.

use crate::machine_state::State;

/// An error answer. `Display` is the text that Fly puts under `error`.
///
/// The texts were observed on the wire. Variants whose answer Fly does not document say so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("Authenticate: token validation error")]
    Unauthenticated,
    #[error("unauthorized")]
    ForeignApp,
    /// The text is that of Fly's proxy. The body of the API is not documented.
    #[error("rate limit exceeded")]
    RateLimited,
    #[error("app not found")]
    AppNotFound,
    #[error("machine not found")]
    MachineNotFound,
    #[error("volume not found")]
    VolumeNotFound,
    #[error("secret not found")]
    SecretNotFound,
    #[error("metadata key not found")]
    MetadataKeyNotFound,
    #[error("lease not found")]
    LeaseNotFound,
    #[error("invalid machine ID, '{0}'")]
    MalformedMachineId(String),
    #[error("invalid_argument: {0}")]
    InvalidArgument(String),
    #[error("json: cannot unmarshal array into Go value of type {0}")]
    ArrayBody(&'static str),
    #[error("Validation failed: Name has already been taken")]
    AppNameTaken,
    #[error("Validation failed: Name under 63 chars using numbers, lowercase letters and dashes")]
    AppNameInvalid,
    #[error("already_exists: unique machine name violation, machine ID {id} already exists with name \"{name}\"")]
    MachineNameTaken { id: String, name: String },
    #[error("Your organization has reached its machine limit. Please contact billing@fly.io")]
    MachineLimit,
    #[error("failed_precondition: volume already claimed by machine {0}")]
    VolumeClaimed(String),
    #[error("failed_precondition: volume is currently bound to machine: {0}")]
    VolumeBound(String),
    #[error("failed_precondition: unable to start machine from current state: '{0}'")]
    CannotStart(State),
    #[error("failed_precondition: machine getting replaced, refusing to start")]
    StartWhileReplacing,
    #[error("failed_precondition: machine still active, refusing to start")]
    StillActive,
    #[error("failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created")]
    DestroyWhileRunning,
    /// Status and body not documented by Fly.
    #[error("failed_precondition: machine is not running, current state: '{0}'")]
    NotRunning(State),
    /// Status and body not documented by Fly.
    #[error("failed_precondition: current_version does not match the version of the machine")]
    StaleVersion,
    #[error("failed_precondition: machine_version does not match the version of the machine")]
    StaleMetadataVersion,
    /// It is not documented if Fly refuses or waits.
    #[error("failed_precondition: secrets version {wanted} is not available, currently {current}")]
    SecretsVersion { wanted: u64, current: u64 },
    #[error("aborted: machine update failed due to concurrent update")]
    ConcurrentUpdate,
    #[error("machine ID {id} lease currently held by {owner}, expires at {until}")]
    LeaseHeld { id: String, owner: String, until: String },
    #[error("invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]")]
    WaitTimeout,
    #[error("deadline_exceeded: machine failed to reach desired state, {wanted}, currently {current}")]
    NotReached { wanted: String, current: String },
    #[error("invalid_argument: machine in a state that cannot reach {wanted}, currently {current}")]
    Unreachable { wanted: String, current: State },
    /// Status and text not documented by Fly. Production users see 5xx.
    #[error("unavailable: the host of the machine is unreachable")]
    HostUnreachable,
    #[error("the simulator is shutting down")]
    ShuttingDown,
}

impl ApiError {
    /// Returns an [`ApiError::InvalidArgument`].
    pub(crate) fn invalid(problem: impl std::fmt::Display) -> Self {
        Self::InvalidArgument(problem.to_string())
    }

    /// Returns the HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::InvalidArgument(_) | Self::ArrayBody(_) | Self::MalformedMachineId(_) => 400,
            Self::WaitTimeout | Self::Unreachable { .. } => 400,
            Self::Unauthenticated => 401,
            Self::ForeignApp => 403,
            Self::AppNotFound | Self::MachineNotFound | Self::VolumeNotFound => 404,
            Self::SecretNotFound | Self::MetadataKeyNotFound | Self::LeaseNotFound => 404,
            Self::NotReached { .. } => 408,
            Self::MachineNameTaken { .. } | Self::ConcurrentUpdate | Self::LeaseHeld { .. } => 409,
            Self::VolumeClaimed(_) | Self::VolumeBound(_) => 412,
            Self::CannotStart(_) | Self::StartWhileReplacing | Self::StillActive => 412,
            Self::DestroyWhileRunning | Self::NotRunning(_) => 412,
            Self::StaleVersion | Self::StaleMetadataVersion | Self::SecretsVersion { .. } => 412,
            Self::AppNameTaken | Self::AppNameInvalid | Self::MachineLimit => 422,
            Self::RateLimited => 429,
            Self::HostUnreachable | Self::ShuttingDown => 503,
        }
    }

    /// Returns the machine-readable `status` beside the text, if Fly gives one.
    pub(crate) fn code(&self) -> Option<&'static str> {
        matches!(self, Self::AppNameTaken).then_some("name_taken")
    }
}
