//! Status and body of a refused call → what the caller can do about it. One table, read from the top, first row wins.
//!
//! Fly gives no contract on errors. The machine-readable `status` of the body decides where there is one, then the
//! text. A 409 or 412 whose text is not in the table stays [`Refusal::Unrecognised`]: no recovery is tried on a guess
//! (FM-30). Texts of capacity are heard only where there is no `status` at all, as Fly's own client does it.

use std::time::Duration;

use serde::Deserialize;

use crate::api::{Action, Subject};

/// Why Fly did not do a call, as far as a caller can act on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request itself is wrong and will stay so.
    #[error("the request is invalid")]
    Invalid,
    /// The token is bad or lacks a right. Also seen for a moment after an app was made.
    #[error("the credentials are refused")]
    Unauthorized,
    /// What the call speaks of is not there. For machines and volumes this proves something only while the app itself
    /// answers (FM-33).
    #[error("no such {0}")]
    NotFound(Subject),
    /// The path does not exist at all: the base URL leads to something else.
    #[error("the address is not that of a Machines API")]
    NoSuchRoute,
    /// The app's name is in use, by us or by anybody.
    #[error("the app's name is taken")]
    AppNameTaken,
    /// A living machine has the name.
    #[error("the machine's name is taken")]
    MachineNameTaken {
        /// The holder, where the text names it.
        holder: Option<String>,
    },
    /// There is no room.
    #[error("no capacity ({0})")]
    NoCapacity(Scope),
    /// The organization may have no more machines anywhere.
    #[error("the organization's limit of machines is reached: destroy some, or have Fly raise it")]
    MachineLimit,
    /// The image is not known (yet: the registry lags for some seconds behind a push).
    #[error("the registry does not know the machine's image: check its name and digest")]
    ImageUnknown,
    /// The volume cannot go while a machine holds it.
    #[error("the volume is bound to a machine")]
    VolumeBound,
    /// The volume is another machine's, or was until a moment ago.
    #[error("the volume is claimed by another machine")]
    VolumeClaimed,
    /// Somebody else holds the lease on the machine.
    #[error("the machine is leased by somebody else")]
    LeaseHeld,
    /// Somebody else updated the machine meanwhile.
    #[error("the machine was updated by somebody else")]
    ConcurrentUpdate,
    /// The machine's state does not allow it, now.
    #[error("the machine's state does not allow it")]
    WrongState,
    /// A wait ended before the state was reached.
    #[error("the state was not reached within the wait")]
    NotYet,
    /// Too many calls.
    #[error("too many calls")]
    Throttled {
        /// What Fly asks for, where it says.
        retry_after: Option<Duration>,
    },
    /// Fly or something before it failed. A write may have been applied all the same.
    #[error("Fly failed")]
    ServerTrouble,
    /// An answer the table does not know: no recovery action.
    #[error("an answer that is not understood")]
    Unrecognised,
}

/// Where room is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the region, or by quota in it: go to another one.
    Region,
    /// On the host the volume lies on: elsewhere with a new or forked volume, or later.
    VolumeHost,
    /// On the machine's host, for now: later, or elsewhere.
    Host,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::VolumeHost => "the volume's host",
            Self::Host => "host",
        })
    }
}

/// Judges the answer to a call that was not a success.
pub fn classify(action: Action, status: u16, body: &[u8], retry_after: Option<Duration>) -> Refusal {
    let told = Told::read(body);
    // Whatever the body claims, what failed in the middle proves nothing. A 503 with Fly's own code for lack of room did
    // not fail: it is Fly's no to what needs room, as its own client reads it.
    let no_room = status == UNAVAILABLE && !action.reads() && told.is_lack_of_room();
    if status >= 500 && !no_room {
        return Refusal::ServerTrouble;
    }
    TABLE
        .iter()
        .find(|row| row.matches(action, status, &told))
        .map_or(Refusal::Unrecognised, |row| (row.meaning)(&Answer { action, told: &told, retry_after }))
}

/// What the body says. Shapes seen: `{error, status?}`, `{message}`, plain text, nothing.
struct Told {
    code: Option<String>,
    text: String,
}

impl Told {
    /// The longest text that is looked at.
    const LONGEST: usize = 4096;

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
            .unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(Self::LONGEST)]).into_owned());
        Self { code, text: text.to_ascii_lowercase() }
    }

    /// By its code alone: a text may come from anything on the way.
    fn is_lack_of_room(&self) -> bool {
        self.code.as_deref().is_some_and(|code| matches!(code, NO_CAPACITY | VOLUME_NO_CAPACITY))
    }
}

struct Answer<'a> {
    action: Action,
    told: &'a Told,
    retry_after: Option<Duration>,
}

impl Answer<'_> {
    /// A volume that is made has no host yet, and a machine that is there does not leave its own.
    fn no_room(&self, told: Scope) -> Refusal {
        Refusal::NoCapacity(if self.action == Action::CreateVolume {
            Scope::Region
        } else if matches!(self.action, Action::StartMachine | Action::UpdateMachine) {
            Scope::Host
        } else {
            told
        })
    }
}

struct Row {
    statuses: &'static [u16],
    says: Says,
    meaning: fn(&Answer<'_>) -> Refusal,
}

enum Says {
    Anything,
    Code(&'static str),
    Text(&'static str),
    /// A text about capacity: a code, even one that is not known, says that it is something else.
    Room(&'static str),
    /// A text that means this on one call alone.
    TextOn(&'static str, Action),
    /// No text needed; the call is one of these.
    On(&'static [Action]),
}

impl Row {
    fn matches(&self, action: Action, status: u16, told: &Told) -> bool {
        self.statuses.contains(&status)
            && match self.says {
                Says::Anything => true,
                Says::Code(code) => told.code.as_deref() == Some(code),
                Says::Text(text) => told.text.contains(text),
                Says::Room(text) => told.code.is_none() && told.text.contains(text),
                Says::TextOn(text, call) => action == call && told.text.contains(text),
                Says::On(actions) => actions.contains(&action),
            }
    }
}

/// Fly's codes for lack of room, in the region and beside a volume.
const NO_CAPACITY: &str = "insufficient_capacity";
const VOLUME_NO_CAPACITY: &str = "volume_placement_capacity";
const UNAVAILABLE: u16 = 503;

const REFUSED: &[u16] = &[400, 403, 404, 409, 412, 422];
const NO_ROOM: &[u16] = &[400, 403, 404, 409, 412, 422, UNAVAILABLE];
const CONFLICT: &[u16] = &[409, 412];
const FULL: &[u16] = &[409, 412, 422];
const WAIT: &[Action] = &[Action::WaitMachine];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // The code decides before any text.
    Row { statuses: NO_ROOM, says: Says::Code(NO_CAPACITY), meaning: |answer| answer.no_room(Scope::Region) },
    Row { statuses: NO_ROOM, says: Says::Code(VOLUME_NO_CAPACITY), meaning: |answer| answer.no_room(Scope::VolumeHost) },
    Row { statuses: REFUSED, says: Says::Code("name_taken"), meaning: name_taken },
    // Who stands in the way.
    Row { statuses: &[409, 422], says: Says::Text("unique machine name violation"), meaning: name_taken },
    Row { statuses: &[409, 422], says: Says::Text("name has already been taken"), meaning: name_taken },
    // The words for any constraint of Fly's; on this call it can only be the name.
    Row { statuses: &[409, 422], says: Says::TextOn("uniqueness constraint violated", Action::CreateApp), meaning: |_| Refusal::AppNameTaken },
    Row { statuses: CONFLICT, says: Says::Text("lease currently held by"), meaning: |_| Refusal::LeaseHeld },
    Row { statuses: CONFLICT, says: Says::Text("concurrent update"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, says: Says::Text("current_version"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, says: Says::Text("machine_version"), meaning: |_| Refusal::ConcurrentUpdate },
    Row { statuses: CONFLICT, says: Says::Text("volume already claimed"), meaning: |_| Refusal::VolumeClaimed },
    Row { statuses: CONFLICT, says: Says::Text("currently bound to machine"), meaning: |_| Refusal::VolumeBound },
    // Capacity in its disguises.
    Row { statuses: FULL, says: Says::Room("with existing volume"), meaning: |answer| answer.no_room(Scope::VolumeHost) },
    Row { statuses: FULL, says: Says::Room("could not reserve resource"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("insufficient cpus available"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("insufficient memory available"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("insufficient ips available"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("insufficient resources available"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("governor policy blocked"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("deploys to this host are temporarily disabled"), meaning: |answer| answer.no_room(Scope::Host) },
    Row { statuses: FULL, says: Says::Room("insufficient resources"), meaning: |answer| answer.no_room(Scope::VolumeHost) },
    Row { statuses: FULL, says: Says::Room("could not find a candidate host"), meaning: |answer| answer.no_room(Scope::Region) },
    Row { statuses: &[400, 409, 412, 422], says: Says::Room("no capacity"), meaning: |answer| answer.no_room(Scope::Region) },
    Row { statuses: &[403], says: Says::Room("over the allowed quota"), meaning: |answer| answer.no_room(Scope::Region) },
    Row { statuses: &[403, 422], says: Says::Text("machine limit"), meaning: |_| Refusal::MachineLimit },
    // What is missing.
    Row { statuses: &[400, 404, 422], says: Says::Text("manifest_unknown"), meaning: |_| Refusal::ImageUnknown },
    Row { statuses: &[400, 404, 422], says: Says::Text("manifest unknown"), meaning: |_| Refusal::ImageUnknown },
    Row { statuses: &[400, 404, 422], says: Says::Text("volume not found"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404, 422], says: Says::Text("volume does not exist"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404, 422], says: Says::Text("could not find volume"), meaning: |_| Refusal::NotFound(Subject::Volume) },
    Row { statuses: &[400, 404], says: Says::Text("could not find app"), meaning: |_| Refusal::NotFound(Subject::App) },
    Row { statuses: &[400, 404], says: Says::Text("app not found"), meaning: |_| Refusal::NotFound(Subject::App) },
    Row { statuses: &[404], says: Says::Text("machine not found"), meaning: |_| Refusal::NotFound(Subject::Machine) },
    Row { statuses: &[404], says: Says::Text("404 page not found"), meaning: |_| Refusal::NoSuchRoute },
    Row { statuses: &[404], says: Says::Anything, meaning: |answer| Refusal::NotFound(answer.action.subject()) },
    Row { statuses: &[405], says: Says::Anything, meaning: |_| Refusal::NoSuchRoute },
    // The machine's state.
    Row { statuses: &[412], says: Says::Text("unable to start machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], says: Says::Text("refusing to start"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], says: Says::Text("unable to destroy machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], says: Says::Text("unable to stop machine"), meaning: |_| Refusal::WrongState },
    Row { statuses: &[412], says: Says::Text("not running"), meaning: |_| Refusal::WrongState },
    // A wait for what cannot come from where the machine is: 400 or 409, texts vary.
    Row { statuses: &[400], says: Says::Text("waitmachinerequest"), meaning: |_| Refusal::Invalid },
    Row { statuses: &[400, 409, 412], says: Says::On(WAIT), meaning: |_| Refusal::WrongState },
    Row { statuses: &[408], says: Says::On(WAIT), meaning: |_| Refusal::NotYet },
    // By status alone.
    Row { statuses: &[401, 403], says: Says::Anything, meaning: |_| Refusal::Unauthorized },
    Row { statuses: &[429], says: Says::Anything, meaning: |answer| Refusal::Throttled { retry_after: answer.retry_after } },
    Row { statuses: &[400, 413, 422], says: Says::Anything, meaning: |_| Refusal::Invalid },
    // A gateway's time-out: the call may have been applied behind it.
    Row { statuses: &[408], says: Says::Anything, meaning: |_| Refusal::ServerTrouble },
];

/// Fly: `already_exists: unique machine name violation, machine ID <id> already exists with name "<name>"`.
fn name_taken(answer: &Answer<'_>) -> Refusal {
    const BEFORE: &str = "machine id ";
    if answer.action != Action::CreateMachine {
        return Refusal::AppNameTaken;
    }
    let holder = answer.told.text.split_once(BEFORE).and_then(|(_, rest)| {
        let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        (!id.is_empty()).then_some(id)
    });
    Refusal::MachineNameTaken { holder }
}

#[cfg(test)]
mod tests;
