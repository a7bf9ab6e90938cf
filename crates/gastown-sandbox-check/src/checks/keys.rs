//! Keys: missing, wrong, right, on each route.

use secrecy::{ExposeSecret as _, SecretString};

use super::rigs::{APP, body, list};
use crate::probe::{Answer, Call, Key, Probe};
use crate::report::Outcomes;
use crate::rules;

/// A rig that no call with a wrong key may add.
const INTRUDER: &str = "kit_intruder";

pub(crate) async fn check(probe: &Probe<'_>, outcomes: &mut Outcomes) -> Option<()> {
    let missing = all(probe, &Key::Missing).await?;
    outcomes.check(&rules::KEY_MISSING, all_refused(&missing))?;
    let mut wrong = Vec::new();
    for key in wrong_keys(&probe.town.key) {
        wrong.push(all(probe, &Key::Wrong(key)).await?);
    }
    outcomes.check(&rules::KEY_WRONG, wrong.iter().try_for_each(|answers| all_refused(answers)))?;
    let differs = |answers: &Vec<Answer>| {
        let mut pairs = missing.iter().zip(answers);
        pairs
            .find(|(missing, wrong)| missing.body != wrong.body)
            .map(|(missing, wrong)| format!("without a key: {}; with a wrong one: {}", missing.shown(), wrong.shown()))
    };
    outcomes.check(&rules::KEY_ALIKE, wrong.iter().find_map(differs).map_or(Ok(()), Err));
    let malformed = probe.add("{".to_owned()).with_key(Key::Wrong(SecretString::from("wrong")));
    let answer = probe.send(malformed).await?;
    outcomes.check(&rules::KEY_FIRST, answer.problem(401, "unauthorized"));
    let rigs = list(probe).await?.unwrap_or_default();
    let added = rigs.iter().any(|rig| rig.name == INTRUDER);
    outcomes.check(&rules::KEY_NO_EFFECT, if added { Err(format!("{INTRUDER} is listed")) } else { Ok(()) })
}

/// Returns keys that are nearly right, and one that is not.
fn wrong_keys(key: &SecretString) -> [SecretString; 3] {
    let key = key.expose_secret();
    let short: String = key.chars().take(key.chars().count().saturating_sub(1)).collect();
    [short, format!("{key}x"), "wrong".to_owned()].map(SecretString::from)
}

/// Calls each route. A call that is accepted by mistake does no harm.
async fn all(probe: &Probe<'_>, key: &Key) -> Option<Vec<Answer>> {
    let calls: [Call; 5] = [
        probe.get("health"),
        probe.get("rigs"),
        probe.add(body(INTRUDER, &probe.options.repositories.good, None)),
        probe.remove(APP, ""),
        probe.sync(),
    ];
    let mut answers = Vec::new();
    for call in calls {
        answers.push(probe.send(call.with_key(key.clone())).await?);
    }
    Some(answers)
}

fn all_refused(answers: &[Answer]) -> Result<(), String> {
    answers.iter().try_for_each(|answer| answer.problem(401, "unauthorized").map(drop))
}
