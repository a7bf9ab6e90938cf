//! What went wrong at Fly → what the domain can do about it. The only place where one becomes the other.

use gastown_domain::ports::{Action, ProviderError};

use crate::{
    api::Subject,
    error::FlyError,
    refusal::{Refusal, Scope},
};

/// Statuses under which nothing was done, whatever the text.
const CONFLICT: u16 = 409;
const PRECONDITION: u16 = 412;

pub(crate) fn port_error(action: Action, error: FlyError) -> ProviderError {
    match error {
        FlyError::Refused { ref refusal, status, .. } => {
            let refusal = refusal.clone();
            refused(action, &refusal, status, error)
        }
        FlyError::NotSent { .. } => ProviderError::NotSent { action, cause: Box::new(error) },
        FlyError::Lost { .. } => ProviderError::Unknown { action, cause: Box::new(error) },
        FlyError::HeldBack { retry_after, .. } => ProviderError::Throttled { action, retry_after: Some(retry_after) },
    }
}

fn refused(action: Action, refusal: &Refusal, status: u16, error: FlyError) -> ProviderError {
    let cause = Box::new(error);
    match refusal {
        Refusal::Invalid => ProviderError::Refused { action, cause },
        Refusal::Unauthorized
        | Refusal::NoSuchRoute
        | Refusal::NotFound(Subject::App)
        | Refusal::AppNameTaken
        // Image and organization come from the configuration: no town can help it.
        | Refusal::ImageUnknown
        | Refusal::MachineLimit => ProviderError::Misconfigured { action, cause },
        Refusal::NotFound(Subject::Volume) => ProviderError::VolumeMissing { action, cause },
        Refusal::NotFound(Subject::Machine) => ProviderError::NotNow { action, cause },
        Refusal::NoCapacity(Scope::Region) => ProviderError::NoCapacity { action, cause },
        Refusal::NoCapacity(Scope::VolumeHost | Scope::Host) => ProviderError::HostFull { action, cause },
        Refusal::VolumeBound | Refusal::VolumeClaimed => ProviderError::VolumeBound { action, cause },
        Refusal::MachineNameTaken { .. }
        | Refusal::LeaseHeld
        | Refusal::ConcurrentUpdate
        | Refusal::WrongState
        | Refusal::NotYet => ProviderError::NotNow { action, cause },
        Refusal::Throttled { retry_after } => ProviderError::Throttled { action, retry_after: *retry_after },
        Refusal::ServerTrouble => ProviderError::Unknown { action, cause },
        // Not applied, and no recovery on a guess: patience, and another look (FM-30).
        Refusal::Unrecognised if matches!(status, CONFLICT | PRECONDITION) => ProviderError::NotNow { action, cause },
        Refusal::Unrecognised => ProviderError::Unknown { action, cause },
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, time::Duration};

    use super::*;
    use crate::api::Action as Call;

    fn of(refusal: Refusal, status: u16) -> ProviderError {
        let error = FlyError::Refused { action: Call::CreateMachine, refusal, status, request_id: None };
        port_error(Action::CreateMachine, error)
    }

    #[test]
    fn every_refusal_becomes_what_the_domain_can_act_on() {
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
            (Refusal::VolumeBound, 412),
            (Refusal::VolumeClaimed, 412),
            (Refusal::LeaseHeld, 409),
            (Refusal::ConcurrentUpdate, 409),
            (Refusal::WrongState, 412),
            (Refusal::NotYet, 408),
            (Refusal::Throttled { retry_after: seven }, 429),
            (Refusal::ServerTrouble, 500),
            (Refusal::Unrecognised, 409),
            (Refusal::Unrecognised, 412),
            (Refusal::Unrecognised, 302),
        ] {
            let shown = format!("{:?}", of(refusal.clone(), status));
            let variant = shown.split([' ', '{']).next().unwrap_or_default();
            writeln!(table, "{:<44} {status} {variant}", format!("{refusal:?}")).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn who_must_act_is_told_on_what() {
        use std::error::Error;

        for (refusal, status, names) in [
            (Refusal::MachineLimit, 422, "limit of machines"),
            (Refusal::ImageUnknown, 400, "image"),
            (Refusal::Unauthorized, 401, "credentials"),
            (Refusal::NotFound(Subject::App), 404, "no such app"),
            (Refusal::AppNameTaken, 422, "app's name"),
            (Refusal::NoSuchRoute, 404, "address"),
        ] {
            let error = of(refusal, status);
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains(names), "{error}: {cause}");
            // What stands before the cause blames nothing in particular.
            assert_eq!(
                error.to_string(),
                "the provider refuses until an operator acts, while trying to create the machine"
            );
        }
    }

    #[test]
    fn only_what_was_not_sent_or_not_answered_is_told_apart() {
        let cause = || "x".into();
        let not_sent = FlyError::NotSent { action: Call::CreateVolume, cause: cause() };
        let lost = FlyError::Lost { action: Call::CreateVolume, cause: cause() };
        assert!(!port_error(Action::CreateVolume, not_sent).may_be_applied());
        assert!(port_error(Action::CreateVolume, lost).may_be_applied());
        let held = FlyError::HeldBack { action: Call::CreateVolume, retry_after: Duration::from_secs(2) };
        let ProviderError::Throttled { retry_after, .. } = port_error(Action::CreateVolume, held) else {
            panic!("held back is throttled");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(2)));
    }
}
