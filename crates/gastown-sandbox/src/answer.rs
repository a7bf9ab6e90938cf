//! Maps status and body of an answer to the domain's result. No other module does.

use gastown_domain::{HealthReason, ports::SandboxError};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::{
    sanitize::{sanitize, sanitize_all},
    transport::Reply,
    wire::{Problem, ProblemBody},
};

/// A call of the API. The meaning of a status depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Health,
    Rigs,
    AddRig,
    RemoveRig,
    Sync,
}

/// The fault of an answer that violates the API. It contains no part of the answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidAnswer {
    #[error("status {0} is not part of the API")]
    Status(u16),
    #[error("the body of status {0} is not part of the API")]
    Body(u16),
    #[error("the answer is from another town")]
    OtherTown,
    #[error("the answer confirms another rig")]
    OtherRig,
}

/// The proxy answered, or the sandbox has not started.
#[derive(Debug, thiserror::Error)]
#[error("no sandbox at this address (status {0})")]
struct NoSandbox(u16);

/// Parses the body of a successful answer.
pub(crate) fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, SandboxError> {
    serde_json::from_slice(&reply.body).map_err(|_| wrong(InvalidAnswer::Body(reply.status)))
}

/// Returns `Ok` for a success, and the error for every other answer.
///
/// The texts of the error are sanitized, and the secrets of this service are masked in them.
pub(crate) fn classify(call: Call, reply: &Reply, secrets: &[SecretString]) -> Result<(), SandboxError> {
    let problem = serde_json::from_slice::<Problem>(&reply.body).ok().map(|problem| problem.error);
    let code = problem.as_ref().map_or("", |problem| problem.code.as_str());
    match (call, reply.status, code) {
        (Call::Health | Call::Rigs | Call::Sync, 200, _) => Ok(()),
        (Call::AddRig, 200 | 201, _) => Ok(()),
        (Call::RemoveRig, 204, _) => Ok(()),
        // The code shows that the sandbox answered. A proxy's 404 proves nothing.
        (Call::RemoveRig, 404, "rig_not_found") => Ok(()),
        (_, 401 | 403, _) => Err(SandboxError::Unauthorized),
        (Call::AddRig, 409, "rig_exists") | (Call::AddRig, 422, _) if problem.is_some() => {
            Err(SandboxError::Refused { reason: reason(problem, secrets) })
        }
        (Call::RemoveRig, 409, "rig_in_use") => {
            Err(SandboxError::InTheWay { in_the_way: in_the_way(problem, secrets) })
        }
        // Only a sandbox sends a code. Without one the answer is from a proxy.
        (_, 500 | 503, code) if !code.is_empty() => {
            Err(SandboxError::Unhealthy { reason: HealthReason::of_code(code) })
        }
        (_, 404 | 408 | 429 | 500..=599, _) => {
            Err(SandboxError::Unreachable { cause: Box::new(NoSandbox(reply.status)) })
        }
        (_, status, _) => Err(wrong(InvalidAnswer::Status(status))),
    }
}

pub(crate) fn wrong(cause: InvalidAnswer) -> SandboxError {
    SandboxError::Wrong { cause: Box::new(cause) }
}

fn reason(problem: Option<ProblemBody>, secrets: &[SecretString]) -> String {
    let message = problem.map(|problem| sanitize(&problem.message, secrets)).unwrap_or_default();
    if message.is_empty() { "no reason given".to_owned() } else { message }
}

fn in_the_way(problem: Option<ProblemBody>, secrets: &[SecretString]) -> Vec<String> {
    let Some(problem) = problem else { return Vec::new() };
    let listed = sanitize_all(&problem.in_the_way, secrets);
    if listed.is_empty() { sanitize_all(&[problem.message], secrets) } else { listed }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const ALL: [Call; 5] = [Call::Health, Call::Rigs, Call::AddRig, Call::RemoveRig, Call::Sync];

    fn outcome(call: Call, status: u16, body: &str) -> &'static str {
        match classify(call, &Reply { status, body: body.as_bytes().to_vec() }, &[]) {
            Ok(()) => "ok",
            Err(SandboxError::Unreachable { .. }) => "unreachable",
            Err(SandboxError::Wrong { .. }) => "wrong",
            Err(SandboxError::Unauthorized) => "unauthorized",
            Err(SandboxError::Unhealthy { .. }) => "unhealthy",
            Err(SandboxError::Refused { .. }) => "refused",
            Err(SandboxError::InTheWay { .. }) => "in the way",
        }
    }

    #[test]
    fn each_answer_has_this_outcome() {
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
            for call in ALL {
                let cell = format!("{call:?}: {}", outcome(call, status, body));
                write!(row, " {cell:<24}").unwrap();
            }
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn reasons_of_a_sandbox_are_sanitized() {
        let body = r#"{"error":{"code":"rig_refused","message":"no\nsuch https://u:p@github.com/x"}}"#;
        let refused = classify(Call::AddRig, &Reply { status: 422, body: body.into() }, &[]).unwrap_err();
        assert_eq!(refused.to_string(), "sandbox refused the rig: no such https://***@github.com/x");
        let body = r#"{"error":{"code":"rig_in_use","message":"m","inTheWay":["a\u0000b","",  "c"]}}"#;
        let stopped = classify(Call::RemoveRig, &Reply { status: 409, body: body.into() }, &[]).unwrap_err();
        assert_eq!(stopped.to_string(), "rig is in use: a b, c");
    }

    #[test]
    fn a_towns_key_is_masked_in_a_sandboxs_words() {
        let keys = ["0123abcd".repeat(8).into(), "fedc9876".repeat(8).into()];
        for key in ["0123abcd".repeat(8), "FEDC9876".repeat(8)] {
            let body =
                serde_json::json!({ "error": { "code": "rig_refused", "message": format!("got x-key:{key}, no") } });
            let reply = Reply { status: 422, body: body.to_string().into() };
            let refused = classify(Call::AddRig, &reply, &keys).unwrap_err();
            assert_eq!(refused.to_string(), "sandbox refused the rig: got x-key:***, no");
            let listed =
                serde_json::json!({ "error": { "code": "rig_in_use", "inTheWay": [format!("a={key}"), key] } });
            let reply = Reply { status: 409, body: listed.to_string().into() };
            let stopped = classify(Call::RemoveRig, &reply, &keys).unwrap_err();
            assert_eq!(stopped.to_string(), "rig is in use: a=***, ***");
        }
    }
}
