//! Maps the client's errors to the port's errors. No other place does so.

use gastown_domain::{
    Invalid,
    ports::{Action, ProviderError},
};

use crate::{
    api::Subject,
    error::FlyError,
    refusal::{Refusal, Scope},
};

/// The statuses that mean that nothing was done, whatever the text.
const NOT_APPLIED: [u16; 2] = [409, 412];

/// Returns the port's error for a failed call.
pub(crate) fn provider_error(action: Action, error: FlyError) -> ProviderError {
    match error {
        FlyError::Refused { ref refusal, status, .. } => {
            let refusal = refusal.clone();
            refused(action, &refusal, status, error)
        }
        FlyError::NotSent { .. } => ProviderError::NotSent { action, cause: Box::new(error) },
        FlyError::Lost { .. } => ProviderError::Unknown { action, cause: Box::new(error) },
        FlyError::RateLimited { retry_after, .. } => {
            ProviderError::Throttled { action, retry_after: Some(retry_after) }
        }
    }
}

/// Returns the port's error for an answer that has a plausible shape and an impossible value. The call may have been applied.
pub(crate) fn invalid_answer(action: Action) -> ProviderError {
    ProviderError::Unknown { action, cause: Box::new(InvalidAnswer) }
}

/// Returns the port's error for a specification that Fly would refuse. Nothing was sent.
pub(crate) fn invalid_spec(action: Action) -> impl FnOnce(Invalid) -> ProviderError {
    move |cause| ProviderError::Refused { action, cause: Box::new(cause) }
}

#[derive(Debug, thiserror::Error)]
#[error("Fly's answer is invalid")]
struct InvalidAnswer;

fn refused(action: Action, refusal: &Refusal, status: u16, error: FlyError) -> ProviderError {
    let cause = Box::new(error);
    match refusal {
        Refusal::Invalid => ProviderError::Refused { action, cause },
        Refusal::Unauthorized
        | Refusal::NoSuchRoute
        | Refusal::NotFound(Subject::App)
        | Refusal::AppNameTaken
        // The configuration names image and organization, so no town is at fault.
        | Refusal::ImageUnknown
        | Refusal::ImageForbidden
        | Refusal::BillingStop
        | Refusal::MachineLimit => ProviderError::Misconfigured { action, cause },
        Refusal::NotFound(Subject::Volume) => ProviderError::VolumeMissing { action, cause },
        Refusal::NotFound(Subject::Machine) => ProviderError::NotNow { action, cause },
        Refusal::RegionRefused => ProviderError::RegionRefused { action, cause },
        Refusal::NoCapacity(Scope::Region) => ProviderError::NoCapacity { action, cause },
        Refusal::NoCapacity(Scope::VolumeHost | Scope::Host) => ProviderError::HostFull { action, cause },
        Refusal::VolumeBound | Refusal::VolumeClaimed => ProviderError::VolumeBound { action, cause },
        Refusal::MachineNameTaken { .. }
        | Refusal::LeaseHeld
        | Refusal::ConcurrentUpdate
        | Refusal::WrongState
        | Refusal::NotYet => ProviderError::NotNow { action, cause },
        Refusal::Throttled { retry_after } => ProviderError::Throttled { action, retry_after: *retry_after },
        Refusal::ServerError => ProviderError::Unknown { action, cause },
        // Not applied, and no recovery is tried: the caller waits and reads again (FM-30).
        Refusal::Unrecognised if NOT_APPLIED.contains(&status) => ProviderError::NotNow { action, cause },
        Refusal::Unrecognised => ProviderError::Unknown { action, cause },
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, time::Duration};

    use super::*;
    use crate::api::Action as Call;

    fn mapped(refusal: Refusal, status: u16) -> ProviderError {
        let error = FlyError::Refused { action: Call::CreateMachine, refusal, status, request_id: None };
        provider_error(Action::CreateMachine, error)
    }

    #[test]
    fn every_refusal_maps_to_a_provider_error() {
        let seven = Some(Duration::from_secs(7));
        let mut table = String::new();
        for (refusal, status) in [
            (Refusal::Invalid, 422),
            (Refusal::Unauthorized, 401),
            (Refusal::NotFound(Subject::App), 404),
            (Refusal::NotFound(Subject::Machine), 404),
            (Refusal::NotFound(Subject::Volume), 404),
            (Refusal::NoSuchRoute, 404),
            (Refusal::AppNameTaken, 422),
            (Refusal::MachineNameTaken { holder: None }, 409),
            (Refusal::NoCapacity(Scope::Region), 422),
            (Refusal::NoCapacity(Scope::VolumeHost), 412),
            (Refusal::NoCapacity(Scope::Host), 409),
            (Refusal::MachineLimit, 422),
            (Refusal::ImageUnknown, 400),
            (Refusal::ImageForbidden, 401),
            (Refusal::BillingStop, 402),
            (Refusal::RegionRefused, 412),
            (Refusal::VolumeBound, 412),
            (Refusal::VolumeClaimed, 412),
            (Refusal::LeaseHeld, 409),
            (Refusal::ConcurrentUpdate, 409),
            (Refusal::WrongState, 412),
            (Refusal::NotYet, 408),
            (Refusal::Throttled { retry_after: seven }, 429),
            (Refusal::ServerError, 500),
            (Refusal::Unrecognised, 409),
            (Refusal::Unrecognised, 412),
            (Refusal::Unrecognised, 302),
        ] {
            let shown = format!("{:?}", mapped(refusal.clone(), status));
            let variant = shown.split([' ', '{']).next().unwrap_or_default();
            writeln!(table, "{:<44} {status} {variant}", format!("{refusal:?}")).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_cause_of_a_misconfiguration_is_named() {
        use std::error::Error;

        for (refusal, status, names) in [
            (Refusal::MachineLimit, 422, "limit of machines"),
            (Refusal::ImageUnknown, 400, "image"),
            (Refusal::ImageForbidden, 401, "registry refuses"),
            (Refusal::BillingStop, 402, "payment method"),
            (Refusal::Unauthorized, 401, "credentials"),
            (Refusal::NotFound(Subject::App), 404, "no such app"),
            (Refusal::AppNameTaken, 422, "app's name"),
            (Refusal::NoSuchRoute, 404, "address"),
        ] {
            let error = mapped(refusal, status);
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains(names), "{error}: {cause}");
            assert_eq!(error.to_string(), "failed to create the machine: the provider refuses until an operator acts");
        }
    }

    #[test]
    fn lost_answers_may_be_applied_and_unsent_requests_not() {
        let cause = || "x".into();
        let not_sent = FlyError::NotSent { action: Call::CreateVolume, cause: cause() };
        let lost = FlyError::Lost { action: Call::CreateVolume, cause: cause() };
        assert!(!provider_error(Action::CreateVolume, not_sent).may_be_applied());
        assert!(provider_error(Action::CreateVolume, lost).may_be_applied());
        let limited = FlyError::RateLimited { action: Call::CreateVolume, retry_after: Duration::from_secs(2) };
        let ProviderError::Throttled { retry_after, .. } = provider_error(Action::CreateVolume, limited) else {
            panic!("not throttled");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(2)));
    }
}
