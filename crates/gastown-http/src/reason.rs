//! The reasons of errors: `error.data.reason` on the wire, a stable word that programs test.

use std::borrow::Cow;

use gastown_domain::Failure;

use crate::trpc::{CallError, Code};

/// Defines the reasons, each with its word, its code and its meaning for readers of the wire's reference.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $word:literal, $code:ident;)+) => {
        /// The reason of an error. Clients test its text, which never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $variant,)+
            /// An accepted operation ended with this failure.
            Failed(Failure),
        }

        impl Reason {
            /// The reasons, except failures of operations.
            const REFUSALS: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Failed(failure) => failure.code(),
                }
            }

            /// Returns the code that every error of this reason has.
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)+
                    Self::Failed(failure) => failure_code(failure),
                }
            }

            /// Returns the meaning, in one or two sentences.
            pub fn meaning(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => concat!($($meaning),+).trim().into(),)+
                    Self::Failed(failure) => sentence(failure.message()).into(),
                }
            }
        }
    };
}

reasons! {
    /// No procedure has this name.
    NoProcedure = "no_procedure", NotFound;
    /// The procedure requires another HTTP method.
    WrongMethod = "wrong_method", MethodNotSupported;
    /// The header `content-type` is missing or is not `application/json`.
    WrongContentType = "wrong_content_type", UnsupportedMediaType;
    /// The request has no valid path, `Host` header or form of batch.
    MalformedRequest = "malformed_request", BadRequest;
    /// The request has more calls than allowed.
    BatchTooLarge = "batch_too_large", BadRequest;
    /// The body or the parameter `input` is not JSON, or a batch is not an object.
    MalformedInput = "malformed_input", BadRequest;
    /// The input breaks a rule. `data.issues` names each field.
    InvalidInput = "invalid_input", BadRequest;
    /// The region is not one of `listRegions`. `data.issues` names the field.
    RegionNotOffered = "region_not_offered", BadRequest;
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large", PayloadTooLarge;
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", Timeout;
    /// The answer would be larger than allowed.
    AnswerTooLarge = "answer_too_large", PayloadTooLarge;
    /// The caller has not read earlier answers yet.
    AnswersNotRead = "answers_not_read", TooManyRequests;
    /// The caller has too many calls at a time.
    TooManyCalls = "too_many_calls", TooManyRequests;
    /// The caller has too many open subscriptions. `data.limit` is the maximum.
    TooManyWatchers = "too_many_watchers", TooManyRequests;
    /// The service has too many calls or connections at a time.
    Overloaded = "overloaded", ServiceUnavailable;
    /// The call was not answered in time.
    TimedOut = "timed_out", Timeout;
    /// The call did not start in time. Nothing was done, and it may be repeated.
    NotStarted = "not_started", Timeout;
    /// The call was not answered in time, and its operation continues. `getTownStatus` shows it.
    StillRunning = "still_running", Timeout;
    /// The bearer token is missing, not valid, or revoked.
    InvalidToken = "invalid_token", Unauthorized;
    /// The sandbox's key is missing or not valid.
    InvalidKey = "invalid_key", Unauthorized;
    /// The account is blocked.
    AccountBlocked = "account_blocked", Forbidden;
    /// The caller has no such town.
    TownNotFound = "town_not_found", NotFound;
    /// The town has no such rig.
    RigNotFound = "rig_not_found", NotFound;
    /// The caller has another live town with this name.
    TownNameTaken = "town_name_taken", Conflict;
    /// The town has another rig with this name.
    RigNameTaken = "rig_name_taken", Conflict;
    /// The idempotency key was used for a different request.
    KeyReused = "idempotency_key_reused", Conflict;
    /// The town has another operation in flight. `data.operation` is its kind.
    OperationInProgress = "operation_in_progress", Conflict;
    /// The configuration of the town is not the one that was read. Read it, and try again.
    ConfigChanged = "config_changed", Conflict;
    /// The first rigs of a town do not change. `data.issues` names the field.
    FirstRigsFixed = "first_rigs_fixed", BadRequest;
    /// The changed configuration would be too large. `data.issues` names the field.
    ConfigTooLarge = "config_too_large", BadRequest;
    /// The confirmation of a restore is not the town's name. `data.issues` names the field.
    NotConfirmed = "not_confirmed", BadRequest;
    /// The service has no proof that the town's volume is lost, so it is not replaced.
    VolumeNotLost = "volume_not_lost", Conflict;
    /// The town was never saved to R2, so nothing can be restored.
    NeverSaved = "never_saved", PreconditionFailed;
    /// The rig has work that would be lost. `data.inTheWay` lists it.
    RigInUse = "rig_in_use", Conflict;
    /// The sandbox refused the rig for good.
    RigRefused = "rig_refused", UnprocessableContent;
    /// The caller has the maximum number of towns, `data.limit`.
    TooManyTowns = "too_many_towns", PreconditionFailed;
    /// The town has the maximum number of rigs, `data.limit`.
    TooManyRigs = "too_many_rigs", PreconditionFailed;
    /// The caller has the maximum number of operations in flight, `data.limit`.
    TooManyOperations = "too_many_operations", TooManyRequests;
    /// The caller changes towns and rigs too often. `data.limit` is the maximum a minute.
    TooManyChanges = "too_many_changes", TooManyRequests;
    /// The database does not answer.
    Unavailable = "unavailable", ServiceUnavailable;
    /// A fault of this service.
    Internal = "internal", InternalServerError;
}

impl Reason {
    /// Returns every reason: the refusals, then the failures of operations.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::REFUSALS.iter().copied().chain(Failure::ALL.into_iter().map(Self::Failed))
    }

    /// Creates an error of this reason, with a text for the user.
    pub(crate) fn error(self, message: impl Into<Cow<'static, str>>) -> CallError {
        CallError::new(self.code(), self.word(), message)
    }
}

/// Returns a text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
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
        Failure::VolumeFound => Code::Conflict,
        Failure::DataNotRestored => Code::BadGateway,
        Failure::OwnerUnknown => Code::Forbidden,
        Failure::OwnerBlocked => Code::Forbidden,
        Failure::Unrecognized => Code::BadGateway,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fmt::Write as _};

    use super::Reason;

    #[test]
    fn reasons_are_unique_and_explained() {
        let mut table = String::new();
        let mut words = HashSet::new();
        for reason in Reason::all() {
            assert!(words.insert(reason.word()), "{reason:?}");
            assert!(reason.word().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{reason:?}");
            writeln!(table, "{:<24} {:<22} {}", reason.word(), reason.code().name(), reason.meaning()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn page_of_errors_explains_each_reason_once() {
        let page = include_str!("../../../docs/errors.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
        let mut explained: Vec<&str> =
            rows.flat_map(|(words, _)| words.split(", ")).map(|it| it.trim_matches('`')).collect();
        let mut known: Vec<&str> = Reason::all().map(Reason::word).collect();
        explained.sort_unstable();
        known.sort_unstable();
        assert_eq!(explained, known);
    }
}
