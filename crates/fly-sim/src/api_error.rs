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
    /// Text not documented by Fly.
    #[error("organization not found")]
    OrgNotFound,
    #[error("app not found")]
    AppNotFound,
    #[error("machine not found")]
    MachineNotFound,
    #[error("volume not found")]
    VolumeNotFound,
    /// Text not documented by Fly.
    #[error("snapshot not found")]
    SnapshotNotFound,
    /// Text not documented by Fly.
    #[error("ip address not found")]
    IpNotFound,
    /// Text not documented by Fly.
    #[error("certificate not found")]
    CertificateNotFound,
    #[error("secret not found")]
    SecretNotFound,
    #[error("metadata key not found")]
    MetadataKeyNotFound,
    #[error("lease not found")]
    LeaseNotFound,
    #[error("invalid_argument: {0}")]
    InvalidArgument(String),
    /// An invalid request whose text has no prefix: those of the backend of apps, addresses and keys.
    #[error("{0}")]
    InvalidPlain(String),
    #[error("{0}")]
    Unprocessable(String),
    #[error("http: request body too large")]
    BodyTooLarge,
    #[error("the body of the request did not arrive in time")]
    BodyTimeout,
    /// A part of Fly that the simulator lacks.
    #[error("not simulated: {0}")]
    NotSimulated(String),
    #[error("json: cannot unmarshal array into Go value of type {0}")]
    ArrayBody(&'static str),
    #[error("Validation failed: Name has already been taken")]
    AppNameTaken,
    #[error("Validation failed: Name under 63 chars using numbers, lowercase letters and dashes")]
    AppNameInvalid,
    /// Status and text not documented by Fly.
    #[error("idempotency_key was used with another name")]
    IdempotencyKeyReused,
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
    /// Text not documented by Fly.
    #[error("deadline_exceeded: the command did not end in time")]
    ExecTimeout,
    #[error("fly-sim failed to run the command on this computer: {0}")]
    LocalExec(String),
    /// Fly answers 400. Its text is not known.
    #[error("invalid_argument: invalid WaitMachineRequest.Version: value is required to wait for stopped")]
    WaitWithoutVersion,
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

    /// Returns an [`ApiError::NotSimulated`].
    pub(crate) fn not_simulated(what: impl std::fmt::Display) -> Self {
        Self::NotSimulated(what.to_string())
    }

    /// Returns the HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::InvalidArgument(_) | Self::InvalidPlain(_) | Self::ArrayBody(_) => 400,
            Self::WaitTimeout | Self::WaitWithoutVersion | Self::Unreachable { .. } => 400,
            Self::Unauthenticated => 401,
            Self::ForeignApp => 403,
            Self::OrgNotFound | Self::AppNotFound | Self::MachineNotFound | Self::VolumeNotFound => 404,
            Self::SnapshotNotFound | Self::IpNotFound | Self::CertificateNotFound => 404,
            Self::SecretNotFound | Self::MetadataKeyNotFound | Self::LeaseNotFound => 404,
            Self::NotReached { .. } | Self::ExecTimeout | Self::BodyTimeout => 408,
            Self::MachineNameTaken { .. } | Self::ConcurrentUpdate | Self::LeaseHeld { .. } => 409,
            Self::VolumeClaimed(_) | Self::VolumeBound(_) => 412,
            Self::CannotStart(_) | Self::StartWhileReplacing | Self::StillActive => 412,
            Self::DestroyWhileRunning | Self::NotRunning(_) => 412,
            Self::StaleVersion | Self::StaleMetadataVersion | Self::SecretsVersion { .. } => 412,
            Self::AppNameTaken | Self::AppNameInvalid | Self::IdempotencyKeyReused | Self::MachineLimit => 422,
            Self::Unprocessable(_) => 422,
            Self::BodyTooLarge => 413,
            Self::RateLimited => 429,
            Self::LocalExec(_) => 500,
            Self::NotSimulated(_) => 501,
            Self::HostUnreachable | Self::ShuttingDown => 503,
        }
    }

    /// Returns the machine-readable `status` beside the text, if Fly gives one.
    pub(crate) fn code(&self) -> Option<&'static str> {
        matches!(self, Self::AppNameTaken).then_some("name_taken")
    }
}
