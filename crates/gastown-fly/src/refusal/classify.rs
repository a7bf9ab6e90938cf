//! Maps the status and body of a refused call to a [`Refusal`]. One table, read from the top: the first match wins.
//!
//! Fly gives no contract on errors. The machine-readable `status` of the body decides where there is one, then the text.
//! A 409 or 412 whose text is not in the table stays [`Refusal::Unrecognised`], and no recovery is tried (FM-30). Texts
//! about capacity count only where there is no `status` at all, as in Fly's own client.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;

use super::reason::{Refusal, Scope};
use crate::api::{Action, Subject};

/// Classifies an answer that is not a success.
pub fn classify(action: Action, status: u16, body: &[u8], retry_after: Option<Duration>) -> Refusal {
    let body = Body::read(body);
    // A request that failed halfway proves nothing, whatever the body says. The exception is a 503 with Fly's code for a
    // lack of capacity. Fly's own client reads it as a refusal.
    let no_capacity = status == UNAVAILABLE && !action.reads() && body.has_capacity_code();
    if status >= 500 && !no_capacity {
        return Refusal::ServerError;
    }
    TABLE
        .iter()
        .find(|row| row.matches(action, status, &body))
        .map_or(Refusal::Unrecognised, |row| (row.meaning)(&Answer { action, body: &body, retry_after }))
}

/// The code and text of a body. Shapes seen: `{error, status?}`, `{message}`, plain text, nothing.
struct Body {
    code: Option<String>,
    text: String,
}

impl Body {
    /// The longest plain text that is read, in bytes.
    const MAX_TEXT: usize = 4096;

    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Shape {
            error: Option<String>,
            message: Option<String>,
            status: Option<String>,
        }
        let shape = serde_json::from_slice::<Shape>(body).ok();
        let code = shape.as_ref().and_then(|shape| shape.status.clone()).filter(|code| !code.is_empty());
        let text = shape
            .and_then(|shape| shape.error.or(shape.message))
            .unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(Self::MAX_TEXT)]).into_owned());
        Self { code, text: text.to_ascii_lowercase() }
    }

    fn has_one_of(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.text.contains(text))
    }

    /// Returns true for Fly's codes for a lack of capacity. A text does not count, because a gateway may have sent it.
    fn has_capacity_code(&self) -> bool {
        self.code.as_deref().is_some_and(|code| matches!(code, NO_CAPACITY | VOLUME_NO_CAPACITY))
    }
}

struct Answer<'a> {
    action: Action,
    body: &'a Body,
    retry_after: Option<Duration>,
}

impl Answer<'_> {
    /// Returns a lack of capacity in the scope that the call allows. A new volume has no host yet, and an existing
    /// machine does not leave its host.
    fn no_capacity(&self, scope: Scope) -> Refusal {
        Refusal::NoCapacity(if self.action == Action::CreateVolume {
            Scope::Region
        } else if matches!(self.action, Action::StartMachine | Action::UpdateMachine) {
            Scope::Host
        } else {
            scope
        })
    }
}

struct Row {
    statuses: &'static [u16],
    pattern: Pattern,
    meaning: fn(&Answer<'_>) -> Refusal,
}

enum Pattern {
    Any,
    Code(&'static str),
    Text(&'static str),
    /// A text about capacity, without any code. A code, even an unknown one, means something else.
    Capacity(&'static str),
    /// A text that has this meaning on one action only.
    TextOn(&'static str, Action),
    /// Any text, on these actions.
    On(&'static [Action]),
    /// One of these texts, on these actions.
    OneOfOn(&'static [&'static str], &'static [Action]),
    /// One of these texts, on any action.
    OneOf(&'static [&'static str]),
    /// A text that refuses a region, on the actions that need one.
    Region,
}

impl Row {
    fn matches(&self, action: Action, status: u16, body: &Body) -> bool {
        self.statuses.contains(&status)
            && match self.pattern {
                Pattern::Any => true,
                Pattern::Code(code) => body.code.as_deref() == Some(code),
                Pattern::Text(text) => body.text.contains(text),
                Pattern::Capacity(text) => body.code.is_none() && body.text.contains(text),
                Pattern::TextOn(text, only) => action == only && body.text.contains(text),
                Pattern::On(actions) => actions.contains(&action),
                Pattern::OneOfOn(texts, actions) => actions.contains(&action) && body.has_one_of(texts),
                Pattern::OneOf(texts) => body.has_one_of(texts),
                Pattern::Region => PLACES.contains(&action) && body.text.contains("region") && body.has_one_of(REGION),
            }
    }
}

/// Fly's codes for a lack of capacity, in the region and on a volume's host.
const NO_CAPACITY: &str = "insufficient_capacity";
const VOLUME_NO_CAPACITY: &str = "volume_placement_capacity";
const UNAVAILABLE: u16 = 503;

const REFUSED: &[u16] = &[400, 403, 404, 409, 412, 422];
const NO_CAPACITY_STATUSES: &[u16] = &[400, 403, 404, 409, 412, 422, UNAVAILABLE];
const CONFLICT: &[u16] = &[409, 412];
const FULL: &[u16] = &[409, 412, 422];
const WAIT: &[Action] = &[Action::WaitMachine];
/// The statuses under which Fly was seen to refuse an image, a region or a whole organization.
const REFUSED_OR_UNPAID: &[u16] = &[400, 401, 402, 403, 404, 409, 412, 422];

/// The actions that place something in a region.
const PLACES: &[Action] = &[Action::CreateVolume, Action::CreateMachine, Action::UpdateMachine, Action::StartMachine];
/// The actions for which Fly reads the image.
const BOOTS: &[Action] = &[Action::CreateMachine, Action::UpdateMachine, Action::StartMachine];

/// Texts about a region that Fly does not offer. The text also contains "region".
const REGION: &[&str] = &[
    "deprecated",
    "retired",
    "retiring",
    "sunset",
    "decommission",
    "no longer",
    "not available",
    "not supported",
    "not allowed",
    "not enabled",
    "not a valid region",
    "unavailable",
    "unsupported",
    "disabled",
    "invalid region",
    "unknown region",
    "region not found",
    "region does not exist",
];

/// Texts about an organization that Fly stopped.
const BILLING: &[&str] = &[
    "payment method",
    "payment information",
    "credit card",
    "unpaid",
    "past due",
    "overdue",
    "trial has ended",
    "high risk",
    "high-risk",
    "account has been suspended",
    "organization is suspended",
    "organization has been suspended",
];

/// Texts of registries about an image that does not exist, as Fly passes them on.
const NO_IMAGE: &[&str] = &[
    "manifest_unknown",
    "manifest unknown",
    "name_unknown",
    "name unknown",
    "image not found",
    "could not find image",
    "could not resolve image",
    "failed to resolve image",
    "image does not exist",
    "no such image",
    "invalid image reference",
    "invalid reference format",
    "repository does not exist",
    "repository name not known",
];

/// Texts of registries for a client that may not read an image.
const IMAGE_FORBIDDEN: &[&str] = &[
    "authentication required",
    "pull access denied",
    "access to the resource is denied",
    "insufficient_scope",
    "registry: unauthorized",
    "registry unauthorized",
    "unauthorized to pull",
    "unauthorized: access",
    "denied: permission",
    "no basic auth credentials",
    "failed to authenticate with registry",
];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // The code decides before any text.
    Row { statuses: NO_CAPACITY_STATUSES, pattern: Pattern::Code(NO_CAPACITY), meaning: |answer| answer.no_capacity(Scope::Region) },
    Row { statuses: NO_CAPACITY_STATUSES, pattern: Pattern::Code(VOLUME_NO_CAPACITY), meaning: |answer| answer.no_capacity(Scope::VolumeHost) },
    Row { statuses: REFUSED, pattern: Pattern::Code("name_taken"), meaning: name_taken },
    // Conflicts with another object or client.
    Row { statuses: &[409, 422], pattern: Pattern::Text("unique machine name violation"), meaning: name_taken },
    Row { statuses: &[409, 422], pattern: Pattern::Text("name has already been taken"), meaning: name_taken },
    // Fly's text for any constraint. On this action it can only be the name.
    Row { statuses: &[409, 422], pattern: Pattern::TextOn("uniqueness constraint violated", Action::CreateApp), meaning: |_| Refusal::AppNameTaken },
    Row { statuses: CONFLICT, pattern: Pattern::Text("lease currently held by"), meaning: |_| Refusal::LeaseHeld },
    Row { statuses: CONFLICT, pattern: Pattern::Text("concurrent update"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, pattern: Pattern::Text("current_version"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, pattern: Pattern::Text("machine_version"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, pattern: Pattern::Text("volume already claimed"), meaning: |_| Refusal::VolumeClaimed },
    Row { statuses: CONFLICT, pattern: Pattern::Text("currently bound to machine"), meaning: |_| Refusal::VolumeBound },
    // The texts for a lack of capacity.
    Row { statuses: FULL, pattern: Pattern::Capacity("with existing volume"), meaning: |answer| answer.no_capacity(Scope::VolumeHost) },
    Row { statuses: FULL, pattern: Pattern::Capacity("could not reserve resource"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("insufficient cpus available"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("insufficient memory available"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("insufficient ips available"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("insufficient resources available"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("governor policy blocked"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("deploys to this host are temporarily disabled"), meaning: |answer| answer.no_capacity(Scope::Host) },
    Row { statuses: FULL, pattern: Pattern::Capacity("insufficient resources"), meaning: |answer| answer.no_capacity(Scope::VolumeHost) },
    Row { statuses: FULL, pattern: Pattern::Capacity("could not find a candidate host"), meaning: |answer| answer.no_capacity(Scope::Region) },
    Row { statuses: &[400, 409, 412, 422], pattern: Pattern::Capacity("no capacity"), meaning: |answer| answer.no_capacity(Scope::Region) },
    Row { statuses: &[403], pattern: Pattern::Capacity("over the allowed quota"), meaning: |answer| answer.no_capacity(Scope::Region) },
    Row { statuses: &[403, 422], pattern: Pattern::Text("machine limit"), meaning: |_| Refusal::MachineLimit },
    // Refusals that end when an operator acts. Statuses vary, and a "not found" here is not a machine's.
    Row { statuses: REFUSED_OR_UNPAID, pattern: Pattern::OneOf(BILLING), meaning: |_| Refusal::BillingStop },
    Row { statuses: &[402], pattern: Pattern::Any, meaning: |_| Refusal::BillingStop },
    Row { statuses: REFUSED_OR_UNPAID, pattern: Pattern::OneOfOn(IMAGE_FORBIDDEN, BOOTS), meaning: |_| Refusal::ImageForbidden },
    Row { statuses: REFUSED_OR_UNPAID, pattern: Pattern::OneOfOn(NO_IMAGE, BOOTS), meaning: |_| Refusal::ImageUnknown },
    Row { statuses: REFUSED, pattern: Pattern::Region, meaning: |_| Refusal::RegionRefused },
    // Missing objects.
    Row { statuses: &[400, 404, 422], pattern: Pattern::Text("volume not found"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404, 422], pattern: Pattern::Text("volume does not exist"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404, 422], pattern: Pattern::Text("could not find volume"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404], pattern: Pattern::Text("could not find app"), meaning: |_| Refusal::NotFound(Subject::App) },
    Row { statuses: &[400, 404], pattern: Pattern::Text("app not found"), meaning: |_| Refusal::NotFound(Subject::App) },
    Row { statuses: &[404], pattern: Pattern::Text("machine not found"), meaning: |_| Refusal::NotFound(Subject::Machine) },
    Row { statuses: &[404], pattern: Pattern::Text("404 page not found"), meaning: |_| Refusal::NoSuchRoute },
    Row { statuses: &[404], pattern: Pattern::Any, meaning: |answer| Refusal::NotFound(answer.action.subject()) },
    Row { statuses: &[405], pattern: Pattern::Any, meaning: |_| Refusal::NoSuchRoute },
    // The machine's state.
    Row { statuses: &[412], pattern: Pattern::Text("unable to start machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], pattern: Pattern::Text("refusing to start"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], pattern: Pattern::Text("unable to destroy machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], pattern: Pattern::Text("unable to stop machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], pattern: Pattern::Text("not running"), meaning: |_| Refusal::WrongState },
    // A wait for a state that the machine cannot reach: 400 or 409, texts vary.
    Row { statuses: &[400], pattern: Pattern::Text("waitmachinerequest"), meaning: |_| Refusal::Invalid },
    Row { statuses: &[400, 409, 412], pattern: Pattern::On(WAIT), meaning: |_| Refusal::WrongState },
    Row { statuses: &[408], pattern: Pattern::On(WAIT), meaning: |_| Refusal::NotYet },
    // By status alone.
    Row { statuses: &[401, 403], pattern: Pattern::Any, meaning: |_| Refusal::Unauthorized },
    Row { statuses: &[429], pattern: Pattern::Any, meaning: |answer| Refusal::Throttled { retry_after: answer.retry_after } },
    Row { statuses: &[400, 413, 422], pattern: Pattern::Any, meaning: |_| Refusal::Invalid },
    // A gateway's timeout. The call may have been applied behind it.
    Row { statuses: &[408], pattern: Pattern::Any, meaning: |_| Refusal::ServerError },
];

/// Reads the holder of a name.
///
/// Fly: `already_exists: unique machine name violation, machine ID <id> already exists with name "<name>"`.
fn name_taken(answer: &Answer<'_>) -> Refusal {
    const BEFORE_ID: &str = "machine id ";
    if answer.action != Action::CreateMachine {
        return Refusal::AppNameTaken;
    }
    let holder = answer.body.text.split_once(BEFORE_ID).and_then(|(_, rest)| {
        let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        (!id.is_empty()).then_some(id)
    });
    Refusal::MachineNameTaken { holder }
}
