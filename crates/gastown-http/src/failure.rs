//! Maps every failure of an operation to a code and a text for the user. Details that are not for users are logged here.

use std::{error::Error, fmt, time::Duration};

use gastown_domain::{
    ConfigRefusal, Failure, MAX_CONFIG_BYTES, OperationKind,
    ports::{HomeError, RestoreRefusal, StoreError, TownError},
};

use crate::{
    input::{Issue, refused_input},
    reason::Reason,
    rejections::log_rejection,
    trpc::CallError,
};

/// The pause before another operation is requested. Most operations end within seconds.
const OPERATION_PAUSE: Duration = Duration::from_secs(5);

/// The pause before a call is repeated that the registry could not serve. A failover takes a few seconds.
const REGISTRY_PAUSE: Duration = Duration::from_secs(2);

/// Returns the answer to every token that is not accepted, and logs the rule that refused it. The answer does not reveal
/// the rule.
pub(crate) fn unauthorized(reason: impl fmt::Display) -> CallError {
    log_rejection(reason);
    Reason::InvalidToken.error("Missing or invalid bearer token")
}

/// Returns the answer to a sandbox without a valid key, and logs the rule that refused it.
pub(crate) fn wrong_key(reason: impl fmt::Display) -> CallError {
    log_rejection(reason);
    Reason::InvalidKey.error("Missing or invalid internal API key")
}

/// Maps a refused or failed operation.
pub(crate) fn town_error(error: &TownError) -> CallError {
    match error {
        TownError::NotFound => town_not_found(),
        TownError::RigNotFound => Reason::RigNotFound.error("Rig not found"),
        TownError::NameTaken => town_name_taken(),
        TownError::RigNameTaken => rig_name_taken(),
        TownError::TooManyTowns { limit } => too_many_towns(*limit),
        TownError::TooManyRigs { limit } => too_many_rigs(*limit),
        TownError::TooManyOperations { limit } => too_many_operations(*limit),
        TownError::TooManyChanges { limit, retry_after } => {
            let message = format!("The limit of {limit} changes a minute is reached; try again later");
            Reason::TooManyChanges.error(message).with_detail("limit", (*limit).into()).retry_after(*retry_after)
        }
        TownError::KeyReused => key_reused(),
        TownError::InFlight { kind } => {
            let message = format!("Another operation is in progress on this town: {kind}");
            Reason::OperationInProgress.error(message).with_detail("operation", kind.as_str().into())
        }
        TownError::RigRefused { reason } => Reason::RigRefused.error(format!("The sandbox rejected the rig: {reason}")),
        TownError::RigInUse { in_the_way } => {
            let message =
                format!("The rig is in use: {}. Set force to remove it and lose this work", in_the_way.join(", "));
            Reason::RigInUse.error(message).with_detail("inTheWay", in_the_way.clone().into())
        }
        TownError::ConfigChanged => {
            Reason::ConfigChanged.error("The configuration was changed meanwhile; read the town and try again")
        }
        TownError::ConfigRefused(refusal) => config_refused(*refusal),
        TownError::RegionNotOffered => {
            refused_input(Reason::RegionNotOffered, &[Issue::custom("region", "is not available")])
        }
        TownError::NotConfirmed => {
            refused_input(Reason::NotConfirmed, &[Issue::custom("confirm", "must be the town's name")])
        }
        TownError::NotRestorable(RestoreRefusal::VolumeNotLost) => {
            Reason::VolumeNotLost.error("The town's volume is not lost, so nothing is restored")
        }
        TownError::NotRestorable(RestoreRefusal::NeverSaved) => {
            Reason::NeverSaved.error("The town was never saved to R2, so nothing can be restored")
        }
        TownError::Failed { kind, failure } => failed(*kind, *failure),
        TownError::Blocked => blocked(),
        TownError::UserUnknown | TownError::Unauthorized => unauthorized(error),
        TownError::Store(cause) => store_error(cause),
    }
}

/// Maps a refused or failed call of a sandbox.
pub(crate) fn home_error(error: &HomeError) -> CallError {
    match error {
        HomeError::Unauthorized => wrong_key(error),
        HomeError::TooManyCalls { retry_after } => {
            let message = "Too many calls of this sandbox; call less often";
            Reason::TooManyCalls.error(message).retry_after(*retry_after)
        }
        HomeError::Overloaded { retry_after } => {
            let message = "Too many heartbeats wait to be written; try again later";
            Reason::Overloaded.error(message).retry_after(*retry_after)
        }
        HomeError::NoToken(failure) => {
            let message = format!("The token could not be created: {failure}");
            Reason::Failed(*failure).error(message).with_detail("failure", failure.code().into())
        }
        HomeError::Store(cause) => store_error(cause),
    }
}

/// Maps a failure of the registry.
pub(crate) fn store_error(error: &StoreError) -> CallError {
    match error {
        StoreError::TownNameTaken => town_name_taken(),
        StoreError::RigNameTaken => rig_name_taken(),
        StoreError::TooManyTowns { limit } => too_many_towns(*limit),
        StoreError::TooManyRigs { limit } => too_many_rigs(*limit),
        StoreError::TooManyOperations { limit } => too_many_operations(*limit),
        StoreError::KeyReused => key_reused(),
        StoreError::TownNotFound => town_not_found(),
        StoreError::UserUnknown | StoreError::Unauthorized => unauthorized(error),
        StoreError::Unavailable { .. } | StoreError::Contention { .. } => {
            tracing::warn!(error = %Chain(error), "registry unavailable");
            let message = "The service is temporarily unavailable; try again later";
            Reason::Unavailable.error(message).retry_after(REGISTRY_PAUSE)
        }
        StoreError::Fenced { .. } | StoreError::CorruptRow { .. } | StoreError::Refused { .. } => {
            tracing::error!(error = %Chain(error), "registry failed");
            CallError::internal()
        }
    }
}

fn config_refused(refusal: ConfigRefusal) -> CallError {
    match refusal {
        ConfigRefusal::FirstRigs => {
            let issue = Issue::custom("rigs", "cannot change here; use addRig and removeRig");
            refused_input(Reason::FirstRigsFixed, &[issue.within(&["config".into()])])
        }
        ConfigRefusal::TooLarge => {
            let message = format!("would be too large, at most {MAX_CONFIG_BYTES} bytes as JSON are allowed");
            refused_input(Reason::ConfigTooLarge, &[Issue::custom("config", message)])
        }
    }
}

fn town_not_found() -> CallError {
    Reason::TownNotFound.error("Town not found")
}

fn town_name_taken() -> CallError {
    Reason::TownNameTaken.error("A town with this name already exists")
}

fn rig_name_taken() -> CallError {
    Reason::RigNameTaken.error("A rig with this name already exists in the town")
}

/// The code is not `TOO_MANY_REQUESTS`: waiting does not help, destroying a town does.
fn too_many_towns(limit: u32) -> CallError {
    let message = format!("The limit of {limit} towns is reached; destroy a town to create another one");
    Reason::TooManyTowns.error(message).with_detail("limit", limit.into())
}

fn too_many_rigs(limit: u32) -> CallError {
    let message = format!("The limit of {limit} rigs is reached; remove a rig to add another one");
    Reason::TooManyRigs.error(message).with_detail("limit", limit.into())
}

fn too_many_operations(limit: u32) -> CallError {
    let message = format!("The limit of {limit} operations at a time is reached; try again once one has ended");
    Reason::TooManyOperations.error(message).with_detail("limit", limit.into()).retry_after(OPERATION_PAUSE)
}

fn blocked() -> CallError {
    Reason::AccountBlocked.error("The account is blocked; contact support")
}

fn key_reused() -> CallError {
    Reason::KeyReused.error("The idempotency key was already used for a different request")
}

/// Maps an accepted operation that did not reach its goal. The reconciler has logged the reason.
fn failed(kind: OperationKind, failure: Failure) -> CallError {
    let done = match kind {
        OperationKind::Create => "created",
        OperationKind::Start => "started",
        OperationKind::Restart => "restarted",
        OperationKind::Stop => "stopped",
        OperationKind::Destroy => "destroyed",
        OperationKind::Restore | OperationKind::UndoRestore => "restored",
        OperationKind::RollBack => "rolled back",
    };
    let message = format!("The town could not be {done}: {failure}");
    Reason::Failed(failure).error(message).with_detail("failure", failure.code().into())
}

/// Displays an error and all of its causes in one line. The JSON log would otherwise drop the causes.
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
