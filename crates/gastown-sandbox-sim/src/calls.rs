//! The calls of the sandbox's API.

use fly_sim::{Call, ProgramCall};

const HEALTH: ProgramCall = ProgramCall::named("SandboxHealth");
const LIST_RIGS: ProgramCall = ProgramCall::named("SandboxListRigs");
const ADD_RIG: ProgramCall = ProgramCall::named("SandboxAddRig");
const REMOVE_RIG: ProgramCall = ProgramCall::named("SandboxRemoveRig");
const SYNC: ProgramCall = ProgramCall::named("SandboxSync");

/// All calls.
pub(crate) const ALL: [ProgramCall; 5] = [HEALTH, LIST_RIGS, ADD_RIG, REMOVE_RIG, SYNC];

/// `GET /health`.
pub const SANDBOX_HEALTH: Call = Call::Program(HEALTH);
/// `GET /rigs`.
pub const SANDBOX_LIST_RIGS: Call = Call::Program(LIST_RIGS);
/// `POST /rigs`.
pub const SANDBOX_ADD_RIG: Call = Call::Program(ADD_RIG);
/// `DELETE /rigs/{name}`.
pub const SANDBOX_REMOVE_RIG: Call = Call::Program(REMOVE_RIG);
/// `POST /sync`.
pub const SANDBOX_SYNC: Call = Call::Program(SYNC);

/// A call with the name in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxCall<'path> {
    Health,
    ListRigs,
    AddRig,
    RemoveRig(&'path str),
    Sync,
}

impl<'path> SandboxCall<'path> {
    /// Parses a method and a path. Names of rigs need no decoding: they are letters, digits and underscores.
    pub(crate) fn parse(method: &str, path: &'path str) -> Option<Self> {
        match (method, path) {
            ("GET", "/health") => Some(Self::Health),
            ("GET", "/rigs") => Some(Self::ListRigs),
            ("POST", "/rigs") => Some(Self::AddRig),
            ("POST", "/sync") => Some(Self::Sync),
            ("DELETE", path) => path.strip_prefix("/rigs/").filter(|name| is_segment(name)).map(Self::RemoveRig),
            _ => None,
        }
    }

    pub(crate) fn kind(self) -> ProgramCall {
        match self {
            Self::Health => HEALTH,
            Self::ListRigs => LIST_RIGS,
            Self::AddRig => ADD_RIG,
            Self::RemoveRig(_) => REMOVE_RIG,
            Self::Sync => SYNC,
        }
    }
}

fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_name_the_call() {
        for (method, path, want) in [
            ("GET", "/health", Some(HEALTH)),
            ("GET", "/rigs", Some(LIST_RIGS)),
            ("POST", "/rigs", Some(ADD_RIG)),
            ("DELETE", "/rigs/a", Some(REMOVE_RIG)),
            ("POST", "/sync", Some(SYNC)),
            ("DELETE", "/rigs/", None),
            ("DELETE", "/rigs/a/b", None),
            ("PUT", "/health", None),
        ] {
            assert_eq!(SandboxCall::parse(method, path).map(SandboxCall::kind), want, "{method} {path}");
        }
    }
}
