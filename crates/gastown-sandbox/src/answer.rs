//! Status and body → what the domain can do about it. The only place where one becomes the other.

use gastown_domain::ports::SandboxError;
use serde::de::DeserializeOwned;

use crate::{
    speech::{clean, clean_all},
    transport::Reply,
    wire::{Problem, ProblemBody},
};

/// What was asked; statuses mean different things to different calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Health,
    Rigs,
    AddRig,
    RemoveRig,
    Sync,
}

/// What is wrong with an answer, without a word of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rubbish {
    #[error("a status the API does not have: {0}")]
    Status(u16),
    #[error("a body the API does not have, with status {0}")]
    Body(u16),
    #[error("another town answers")]
    OtherTown,
    #[error("another rig is confirmed")]
    OtherRig,
}

/// An answer of the proxy in front of the sandbox, or of a sandbox that is not up.
#[derive(Debug, thiserror::Error)]
#[error("no sandbox behind the address (status {0})")]
struct NobodyThere(u16);

/// Reads a success that has a body.
pub(crate) fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, SandboxError> {
    serde_json::from_slice(&reply.body).map_err(|_| wrong(Rubbish::Body(reply.status)))
}

/// Lets a success pass; makes an error of everything else.
pub(crate) fn judge(asked: Asked, reply: &Reply) -> Result<(), SandboxError> {
    let problem = serde_json::from_slice::<Problem>(&reply.body).ok().map(|problem| problem.error);
    let code = problem.as_ref().map_or("", |problem| problem.code.as_str());
    match (asked, reply.status, code) {
        (Asked::Health | Asked::Rigs | Asked::Sync, 200, _) => Ok(()),
        (Asked::AddRig, 200 | 201, _) => Ok(()),
        (Asked::RemoveRig, 204, _) => Ok(()),
        // Only where the sandbox itself says so: a proxy's 404 proves nothing.
        (Asked::RemoveRig, 404, "rig_not_found") => Ok(()),
        (_, 401 | 403, _) => Err(SandboxError::Unauthorized),
        (Asked::AddRig, 409, "rig_exists") | (Asked::AddRig, 422, _) if problem.is_some() => {
            Err(SandboxError::Refused { reason: reason(problem) })
        }
        (Asked::RemoveRig, 409, "rig_in_use") => Err(SandboxError::InTheWay { in_the_way: in_the_way(problem) }),
        // Its own word against a proxy's: only a sandbox speaks in problems.
        (_, 500 | 503, code) if !code.is_empty() => Err(SandboxError::Unhealthy),
        (_, 404 | 408 | 429 | 500..=599, _) => {
            Err(SandboxError::Unreachable { cause: Box::new(NobodyThere(reply.status)) })
        }
        (_, status, _) => Err(wrong(Rubbish::Status(status))),
    }
}

pub(crate) fn wrong(rubbish: Rubbish) -> SandboxError {
    SandboxError::Wrong { cause: Box::new(rubbish) }
}

fn reason(problem: Option<ProblemBody>) -> String {
    let said = problem.map(|problem| clean(&problem.message)).unwrap_or_default();
    if said.is_empty() { "no reason given".to_owned() } else { said }
}

fn in_the_way(problem: Option<ProblemBody>) -> Vec<String> {
    let Some(problem) = problem else { return Vec::new() };
    let listed = clean_all(&problem.in_the_way);
    if listed.is_empty() { clean_all(&[problem.message]) } else { listed }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const ALL: [Asked; 5] = [Asked::Health, Asked::Rigs, Asked::AddRig, Asked::RemoveRig, Asked::Sync];

    fn verdict(asked: Asked, status: u16, body: &str) -> &'static str {
        match judge(asked, &Reply { status, body: body.as_bytes().to_vec() }) {
            Ok(()) => "ok",
            Err(SandboxError::Unreachable { .. }) => "unreachable",
            Err(SandboxError::Wrong { .. }) => "wrong",
            Err(SandboxError::Unauthorized) => "unauthorized",
            Err(SandboxError::Unhealthy) => "unhealthy",
            Err(SandboxError::Refused { .. }) => "refused",
            Err(SandboxError::InTheWay { .. }) => "in the way",
        }
    }

    #[test]
    fn each_answer_means_what_this_table_says() {
        let mut table = String::new();
        for (status, body) in [
            (200, ""),
            (201, ""),
            (204, ""),
            (302, ""),
            (400, r#"{"error":{"code":"bad_request","message":"x"}}"#),
            (401, r#"{"error":{"code":"unauthorized","message":"x"}}"#),
            (403, ""),
            (404, r#"{"error":{"code":"rig_not_found","message":"x"}}"#),
            (404, "404 page not found"),
            (409, r#"{"error":{"code":"rig_exists","message":"x"}}"#),
            (409, r#"{"error":{"code":"rig_in_use","message":"x","inTheWay":["y"]}}"#),
            (409, ""),
            (422, r#"{"error":{"code":"rig_refused","message":"x"}}"#),
            (422, "<html>"),
            (429, ""),
            (500, ""),
            (500, r#"{"error":{"code":"broken","message":"x"}}"#),
            (502, "bad gateway"),
            (503, ""),
            (503, r#"{"error":{"code":"not_ready","message":"x"}}"#),
        ] {
            let mut row = format!("{status} {body:<64}");
            for asked in ALL {
                let cell = format!("{asked:?}: {}", verdict(asked, status, body));
                write!(row, " {cell:<24}").unwrap();
            }
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_a_sandbox_gives_as_its_reason_is_cleaned() {
        let body = r#"{"error":{"code":"rig_refused","message":"no\nsuch https://u:p@github.com/x"}}"#;
        let refused = judge(Asked::AddRig, &Reply { status: 422, body: body.into() }).unwrap_err();
        assert_eq!(refused.to_string(), "sandbox refused the rig: no such https://***@github.com/x");
        let body = r#"{"error":{"code":"rig_in_use","message":"m","inTheWay":["a\u0000b","",  "c"]}}"#;
        let stopped = judge(Asked::RemoveRig, &Reply { status: 409, body: body.into() }).unwrap_err();
        assert_eq!(stopped.to_string(), "rig is in use: a b, c");
    }
}
