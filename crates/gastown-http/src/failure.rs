//! Every failure of an operation, as a code and a text for the user. What is not for users is logged here, once.

use std::{error::Error, fmt};

use gastown_domain::{
    Failure, OperationKind,
    ports::{HomeError, StoreError, TownError},
};

use crate::{
    caller::wrong_key,
    input::Issue,
    trpc::{CallError, Code},
};

/// What anybody is told whose token does not let them in, whatever is wrong with it.
pub(crate) fn unauthorized() -> CallError {
    CallError::new(Code::Unauthorized, "Missing or invalid bearer token")
}

/// An operation that was refused or failed.
pub(crate) fn town_error(error: &TownError) -> CallError {
    match error {
        TownError::NotFound => town_not_found(),
        TownError::RigNotFound => CallError::new(Code::NotFound, "Rig not found"),
        TownError::NameTaken => town_name_taken(),
        TownError::RigNameTaken => rig_name_taken(),
        TownError::TooManyTowns { limit } => too_many_towns(*limit),
        TownError::KeyReused => key_reused(),
        TownError::InFlight { kind } => {
            let message = format!("Another operation is in progress on this town: {kind}");
            CallError::new(Code::Conflict, message).with_detail("operation", kind.as_str().into())
        }
        TownError::RigRefused { reason } => {
            CallError::new(Code::UnprocessableContent, format!("The town refuses the rig: {reason}"))
        }
        TownError::RigInUse { in_the_way } => {
            let message = format!("The rig is in use, removing it would lose work: {}", in_the_way.join(", "));
            CallError::new(Code::Conflict, message).with_detail("inTheWay", in_the_way.clone().into())
        }
        TownError::RegionNotOffered => Issue::custom("region", "is not offered").into(),
        TownError::Failed { kind, failure } => failed(*kind, *failure),
        TownError::UserUnknown => unauthorized(),
        TownError::Store(cause) => store_error(cause),
    }
}

/// A sandbox's call that was refused or failed.
pub(crate) fn home_error(error: &HomeError) -> CallError {
    match error {
        HomeError::Unauthorized => wrong_key(),
        HomeError::NoToken(failure) => {
            let message = format!("No token could be made: {failure}");
            CallError::new(failure_code(*failure), message).with_detail("failure", failure.code().into())
        }
        HomeError::Store(cause) => store_error(cause),
    }
}

/// A failure of the registry.
pub(crate) fn store_error(error: &StoreError) -> CallError {
    match error {
        StoreError::TownNameTaken => town_name_taken(),
        StoreError::RigNameTaken => rig_name_taken(),
        StoreError::TooManyTowns { limit } => too_many_towns(*limit),
        StoreError::KeyReused => key_reused(),
        StoreError::TownNotFound => town_not_found(),
        StoreError::UserUnknown => unauthorized(),
        StoreError::Unavailable { .. } | StoreError::Contention { .. } => {
            tracing::warn!(error = %Chain(error), "the registry is not available");
            CallError::new(Code::ServiceUnavailable, "The registry is not available right now; try again later")
        }
        StoreError::Fenced { .. } | StoreError::CorruptRow { .. } | StoreError::Refused { .. } => {
            tracing::error!(error = %Chain(error), "the registry failed");
            CallError::internal()
        }
    }
}

fn town_not_found() -> CallError {
    CallError::new(Code::NotFound, "Town not found")
}

fn town_name_taken() -> CallError {
    CallError::new(Code::Conflict, "A town with this name already exists")
}

fn rig_name_taken() -> CallError {
    CallError::new(Code::Conflict, "A rig with this name already exists in the town")
}

/// Not `TOO_MANY_REQUESTS`: waiting changes nothing, destroying a town does.
fn too_many_towns(limit: u32) -> CallError {
    let message = format!("No more than {limit} towns are allowed; destroy one that is not needed any more");
    CallError::new(Code::PreconditionFailed, message).with_detail("limit", limit.into())
}

fn key_reused() -> CallError {
    CallError::new(Code::Conflict, "The idempotency key was used for another request")
}

/// An operation that was accepted and did not reach its goal. The driver has logged why.
fn failed(kind: OperationKind, failure: Failure) -> CallError {
    let done = match kind {
        OperationKind::Create => "created",
        OperationKind::Start => "started",
        OperationKind::Stop => "stopped",
        OperationKind::Destroy => "destroyed",
        OperationKind::RollBack => "rolled back",
    };
    let message = format!("The town could not be {done}: {failure}");
    CallError::new(failure_code(failure), message).with_detail("failure", failure.code().into())
}

const fn failure_code(failure: Failure) -> Code {
    match failure {
        Failure::NoCapacity => Code::ServiceUnavailable,
        Failure::VolumeRefused => Code::BadGateway,
        Failure::MachineRefused => Code::BadGateway,
        Failure::MachineNeverStarted => Code::GatewayTimeout,
        Failure::MachineFailed => Code::BadGateway,
        Failure::SandboxUnhealthy => Code::GatewayTimeout,
        Failure::VolumeLost => Code::BadGateway,
        Failure::Throttled => Code::ServiceUnavailable,
        Failure::ProviderUnavailable => Code::ServiceUnavailable,
        Failure::ProviderMisconfigured => Code::BadGateway,
        Failure::NameTaken => Code::BadGateway,
        Failure::MachineBusy => Code::ServiceUnavailable,
        Failure::VolumeBound => Code::ServiceUnavailable,
        Failure::SecretsUnavailable => Code::InternalServerError,
        Failure::Preempted => Code::Conflict,
        Failure::OwnerUnknown => Code::Forbidden,
        Failure::Unrecognized => Code::BadGateway,
    }
}

/// An error and all of its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
