//! Rigs: add, list, repeat, refuse.

use serde::Deserialize;
use serde_json::json;

use crate::probe::{Answer, Probe};
use crate::report::Outcomes;
use crate::rules::{self, Rule};

/// The rig of most checks.
pub(crate) const APP: &str = "kit_app";
const BRANCHLESS: &str = "kit_branchless";
const REFUSED: &str = "kit_refused";
const TWICE: &str = "kit_twice";
const URL: &str = "kit_url";
/// The names of all rigs that the check adds.
const NAMES: [&str; 7] = [APP, BRANCHLESS, REFUSED, TWICE, URL, "kit_busy", "kit_intruder"];
/// Another repository, which is never cloned.
const OTHER: &str = "https://github.com/octocat/Spoon-Knife.git";

/// A rig of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) repo_url: String,
    branch: String,
}

#[derive(Deserialize)]
struct Rigs {
    rigs: Vec<Rig>,
}

/// Returns the body of a request that adds a rig.
pub(crate) fn body(name: &str, repo: &str, branch: Option<&str>) -> String {
    let mut body = json!({ "name": name, "repoUrl": repo });
    if let Some(branch) = branch {
        body["branch"] = json!(branch);
    }
    body.to_string()
}

/// Returns the rigs of the sandbox. The outer `None` is a violation of a rule for all calls.
pub(crate) async fn list(probe: &Probe<'_>) -> Option<Result<Vec<Rig>, String>> {
    let answer = probe.send(probe.get("rigs")).await?;
    let rigs = answer
        .json(200)
        .and_then(|body| serde_json::from_value::<Rigs>(body).map_err(|error| format!("{} ({error})", answer.shown())));
    Some(rigs.map(|list| list.rigs))
}

/// Removes what an earlier check may have left.
pub(crate) async fn clear(probe: &Probe<'_>) -> Option<()> {
    for name in NAMES {
        probe.send(probe.remove(name, "force=true")).await?;
    }
    Some(())
}

pub(crate) async fn check(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    clear(probe).await?;
    outcomes.check(&rules::RIGS_LIST, list(probe).await?)?;
    refusals(probe, outcomes).await?;
    adding(probe, outcomes).await?;
    default_branch(probe, outcomes).await?;
    at_once(probe, outcomes).await
}

async fn adding(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let repositories = &probe.options.repositories;
    let request = body(APP, &repositories.good, Some(&repositories.branch));
    let wanted = Rig { name: APP.to_owned(), repo_url: repositories.good.clone(), branch: repositories.branch.clone() };
    let answer = probe.send(probe.add(request.clone())).await?;
    outcomes.check(&rules::RIG_ADD, is_rig(&answer, 201, &wanted))?;
    outcomes.check(&rules::RIG_LISTED, listed_once(probe, &wanted).await?)?;
    let answer = probe.send(probe.add(request)).await?;
    let repeated = is_rig(&answer, 200, &wanted);
    outcomes.check(&rules::RIG_REPEAT, repeated.and(listed_once(probe, &wanted).await?))?;
    let shouted = body(&APP.to_uppercase(), &repositories.good, Some(&repositories.branch));
    let answer = probe.send(probe.add(shouted)).await?;
    let same = answer.json(200).map(drop).and(listed_once(probe, &wanted).await?);
    outcomes.check(&rules::RIG_CASE, same)?;
    let answer = probe.send(probe.add(body(APP, OTHER, Some("main")))).await?;
    let kept = answer.problem(409, "rig_exists").map(drop).and(listed_once(probe, &wanted).await?);
    outcomes.check(&rules::RIG_EXISTS, kept)
}

fn is_rig(answer: &Answer, status: u16, wanted: &Rig) -> Result<(), String> {
    let rig = serde_json::from_value::<Rig>(answer.json(status)?).map_err(|error| error.to_string())?;
    if rig == *wanted { Ok(()) } else { Err(answer.shown()) }
}

/// Requires exactly one rig of this name in the list, in any case, and that it is this one.
async fn listed_once(probe: &Probe<'_>, wanted: &Rig) -> Option<Result<(), String>> {
    let rigs = list(probe).await?;
    Some(rigs.and_then(|rigs| {
        let found: Vec<_> = rigs.iter().filter(|rig| rig.name.eq_ignore_ascii_case(&wanted.name)).collect();
        if found == [wanted] { Ok(()) } else { Err(format!("the list has {found:?}, expected one {wanted:?}")) }
    }))
}

async fn default_branch(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let answer = probe.send(probe.add(body(BRANCHLESS, &probe.options.repositories.good, None))).await?;
    let added = answer.json(201).and_then(|body| {
        let rig = serde_json::from_value::<Rig>(body).map_err(|error| format!("{} ({error})", answer.shown()))?;
        if rig.branch.is_empty() { Err(answer.shown()) } else { Ok(rig) }
    });
    let rig = outcomes.check(&rules::RIG_BRANCH, added)?;
    outcomes.check(&rules::RIG_BRANCH, listed_once(probe, &rig).await?)
}

async fn refusals(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let repositories = &probe.options.repositories;
    let bodies = ["mayor", "kit-app", "../kit", ""].map(|name| body(name, &repositories.good, None));
    refused(probe, outcomes, &rules::RIG_NAME, &bodies).await?;
    let urls = ["--upload-pack=touch kit", "ext::sh -c true", "file:///etc", "/etc"];
    let bodies = urls.map(|url| body(URL, url, None));
    refused(probe, outcomes, &rules::RIG_URL, &bodies).await?;
    let mut malformed = Ok(());
    for text in ["{", "[]", "{\"name\":\"kit_app\"}"] {
        let answer = probe.send(probe.add(text.to_owned())).await?;
        malformed = malformed.and(answer.problem(400, "bad_request").map(drop));
    }
    outcomes.check(&rules::RIG_BODY, malformed);
    let answer = probe.send(probe.add(body(REFUSED, &repositories.refused, None))).await?;
    if outcomes.check(&rules::RIG_REFUSED, answer.problem(422, "rig_refused")).is_some() {
        let answer = probe.send(probe.add(body(REFUSED, &repositories.good, Some(&repositories.branch)))).await?;
        outcomes.check(&rules::RIG_REFUSED_GONE, answer.json(201));
    }
    Some(())
}

/// Requires that all these bodies are refused for good, and that no rig comes of them.
async fn refused(probe: &Probe<'_>, outcomes: &mut Outcomes, rule: &'static Rule, bodies: &[String]) -> Option<()> {
    let before = list(probe).await?;
    let mut result = Ok(());
    for text in bodies {
        let answer = probe.send(probe.add(text.clone())).await?;
        let refused = answer.problem(400, "bad_request").or_else(|_| answer.problem(422, "rig_refused"));
        result = result.and(refused.map(drop).map_err(|seen| format!("{seen} to {text}")));
    }
    let changed = list(probe).await? != before;
    let unchanged = if changed { Err("a refused rig is listed".to_owned()) } else { Ok(()) };
    outcomes.check(rule, result.and(unchanged));
    Some(())
}

async fn at_once(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let repositories = &probe.options.repositories;
    let request = || probe.add(body(TWICE, &repositories.good, Some(&repositories.branch)));
    let (first, second) = tokio::join!(probe.send(request()), probe.send(request()));
    let (first, second) = (first?, second?);
    let wanted =
        Rig { name: TWICE.to_owned(), repo_url: repositories.good.clone(), branch: repositories.branch.clone() };
    let either = |answer: &Answer| is_rig(answer, 201, &wanted).or_else(|_| is_rig(answer, 200, &wanted));
    let both = either(&first).and(either(&second));
    outcomes.check(&rules::RIG_AT_ONCE, both.and(listed_once(probe, &wanted).await?))
}
