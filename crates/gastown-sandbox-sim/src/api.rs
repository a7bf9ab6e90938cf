//! The API of a sandbox: health, rigs, sync.

use chrono::{DateTime, SecondsFormat, Utc};
use fly_sim::{Files, ProgramAnswer, ProgramRequest};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::{
    calls::SandboxCall,
    misbehaviour::Misbehaviour,
    r2,
    rigs::{self, Rig},
    rules::SandboxRules,
    sandbox::Sandbox,
};

/// Answers a call.
pub(crate) fn answer(sandbox: &Sandbox, request: ProgramRequest<'_>) -> ProgramAnswer {
    if !is_authorized(sandbox, request.headers) {
        return problem(401, "unauthorized", "x-internal-api-key is missing or wrong");
    }
    let Some(files) = request.volume else {
        return problem(503, "not_ready", "no volume is mounted for the town's data");
    };
    if sandbox.restores && !sandbox.r2.restore(&sandbox.identity.town_id, files) {
        return problem(503, "not_ready", "nothing was saved to R2");
    }
    let call = SandboxCall::parse(request.method, request.path);
    let misbehaviour = Misbehaviour::requested(files, sandbox.answers_first());
    if let Some(answer) = misbehaviour.and_then(|how| how.answer(call == Some(SandboxCall::Health))) {
        return answer;
    }
    match call {
        Some(SandboxCall::Health) if sandbox.rules.is_broken(&sandbox.image) => {
            problem(503, "not_ready", "the image is broken")
        }
        Some(SandboxCall::Health) => health(sandbox, files),
        Some(SandboxCall::ListRigs) => ProgramAnswer::json(200, json!({ "rigs": rigs::read(files) })),
        Some(SandboxCall::AddRig) => add_rig(&sandbox.rules, files, request.body),
        Some(SandboxCall::RemoveRig(name)) => {
            let force = request.query.iter().any(|(name, value)| name == "force" && value == "true");
            remove_rig(&sandbox.rules, files, name, force)
        }
        Some(SandboxCall::Sync) => {
            let at = sandbox.r2.save(&sandbox.identity.town_id, files, request.now);
            ProgramAnswer::json(200, json!({ "syncedAt": at }))
        }
        None => problem(404, "not_found", "no such route"),
    }
}

fn is_authorized(sandbox: &Sandbox, headers: &http::HeaderMap) -> bool {
    let given = headers.get("x-internal-api-key").map(http::HeaderValue::as_bytes).unwrap_or_default();
    given.ct_eq(sandbox.identity.key.expose_secret().as_bytes()).into()
}

fn health(sandbox: &Sandbox, files: &Files) -> ProgramAnswer {
    let mut health = json!({ "status": "ok", "townId": sandbox.identity.town_id, "version": sandbox.image });
    if let Some(expiry) = sandbox.token_expires_at() {
        health["tokenExpiresAt"] = json!(rfc3339(expiry));
    }
    if let Some(at) = r2::restored_from(files).filter(|_| sandbox.restores) {
        health["restoredFrom"] = json!(at);
    }
    ProgramAnswer::json(200, health)
}

fn add_rig(rules: &SandboxRules, files: &mut Files, body: &[u8]) -> ProgramAnswer {
    let rig: Rig = match serde_json::from_slice(body) {
        Ok(rig) => rig,
        Err(error) => return problem(400, "bad_request", &error.to_string()),
    };
    if !rig.is_valid() || rules.refuses(&rig.repo_url) {
        return problem(422, "rig_refused", "the repository cannot be added as a rig");
    }
    let mut rigs = rigs::read(files);
    match rigs.iter().find(|present| present.name.eq_ignore_ascii_case(&rig.name)) {
        Some(present) if present.repo_url == rig.repo_url => return ProgramAnswer::json(200, json!(present)),
        Some(_) => return problem(409, "rig_exists", "a rig with this name exists for another repository"),
        None => {}
    }
    let branch = rig.branch.clone().unwrap_or_else(|| rules.default_branch(&rig.repo_url).to_owned());
    let rig = Rig { branch: Some(branch), ..rig };
    rigs.push(rig.clone());
    store(files, &rigs, ProgramAnswer::json(201, json!(rig)))
}

fn remove_rig(rules: &SandboxRules, files: &mut Files, name: &str, force: bool) -> ProgramAnswer {
    let mut rigs = rigs::read(files);
    let Some(at) = rigs.iter().position(|rig| rig.name.eq_ignore_ascii_case(name)) else {
        return problem(404, "rig_not_found", "rig not found");
    };
    if !force && rules.has_unpushed_work(&rigs[at].repo_url) {
        let in_the_way = json!([format!("{name}: 2 commits not pushed")]);
        let message = "the rig has unpushed work";
        let error = json!({ "code": "rig_in_use", "message": message, "inTheWay": in_the_way });
        return ProgramAnswer::json(409, json!({ "error": error }));
    }
    rigs.remove(at);
    store(files, &rigs, ProgramAnswer::empty(204))
}

fn store(files: &mut Files, rigs: &[Rig], success: ProgramAnswer) -> ProgramAnswer {
    match rigs::write(files, rigs) {
        Ok(()) => success,
        Err(_) => problem(503, "not_ready", "the volume cannot be written"),
    }
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn problem(status: u16, code: &str, message: &str) -> ProgramAnswer {
    let error: Value = json!({ "code": code, "message": message });
    ProgramAnswer::json(status, json!({ "error": error }))
}
