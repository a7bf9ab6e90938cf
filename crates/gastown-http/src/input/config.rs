//! Parses configurations. Known members are checked, all others are kept unchanged.

use std::collections::HashSet;

use gastown_domain::{Change, ConfigPatch, FirstRig, IdleMinutes, MAX_CONFIG_BYTES, Models, TownConfig};
use serde_json::{Map, Value};

use super::{fields::Fields, issue::Issue};

/// Parses a town's configuration. An absent one is the default.
pub(super) fn town_config(fields: &mut Fields, name: &str) -> TownConfig {
    let members = free_config(fields, name);
    checked(fields, name, members)
}

/// Parses a change of a configuration, which is required. A member that is `null` is removed.
pub(super) fn config_patch(fields: &mut Fields, name: &str) -> ConfigPatch {
    if !fields.has(name) {
        fields.issues.push(Issue::wrong_type(vec![name.into()], "object", None));
    }
    let members = free_config(fields, name);
    let names = |spellings: &[&str]| spellings.iter().any(|spelling| members.contains_key(*spelling));
    let (rigs, models, polecats) = (names(&["rigs"]), names(&["models"]), names(&["max_polecats", "maxPolecats"]));
    let idle_stop = names(&["idle_stop_minutes", "idleStopMinutes"]);
    let config = checked(fields, name, members);
    ConfigPatch {
        rigs: rigs.then_some(config.rigs),
        models: change(models, config.models),
        max_polecats: change(polecats, config.max_polecats),
        idle_stop_minutes: change(idle_stop, config.idle_stop_minutes),
        other: config.other,
    }
}

fn change<T>(is_named: bool, value: Option<T>) -> Change<T> {
    match value {
        Some(value) => Change::Set(value),
        None if is_named => Change::Remove,
        None => Change::Keep,
    }
}

/// Checks the known members of a configuration.
fn checked(fields: &mut Fields, name: &str, members: Map<String, Value>) -> TownConfig {
    let mut inner = Fields::over(members);
    let rigs = first_rigs(&mut inner);
    let models = models(&mut inner);
    let max_polecats = max_polecats(&mut inner);
    let idle_stop_minutes = idle_stop_minutes(&mut inner);
    let (other, issues) = inner.rest();
    fields.issues.extend(issues.into_iter().map(|issue| issue.within(&[name.into()])));
    TownConfig { rigs, models, max_polecats, idle_stop_minutes, other }
}

/// Parses a configuration without known members.
pub(super) fn free_config(fields: &mut Fields, name: &str) -> Map<String, Value> {
    let members = fields.object(name).unwrap_or_default();
    // JSONB in Postgres cannot store the NUL character.
    if members.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
        fields.issues.push(Issue::custom(name, "must not contain the character U+0000"));
    }
    let size = serde_json::to_vec(&members).map_or(0, |text| text.len());
    if size > MAX_CONFIG_BYTES {
        let too_large = format!("is too large: {size} bytes as JSON, at most {MAX_CONFIG_BYTES} are allowed");
        fields.issues.push(Issue::custom(name, too_large));
    }
    members
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The most rigs of a create, which clones them one after the other. More can be added to the running town.
const MAX_FIRST_RIGS: usize = 50;

fn first_rigs(config: &mut Fields) -> Vec<FirstRig> {
    let items = match config.take("rigs") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) if items.len() > MAX_FIRST_RIGS => {
            let too_many = format!("has {} entries, at most {MAX_FIRST_RIGS} are allowed", items.len());
            config.issues.push(Issue::custom("rigs", too_many));
            return Vec::new();
        }
        Some(Value::Array(items)) => items,
        Some(other) => {
            config.issues.push(Issue::wrong_type(vec!["rigs".into()], "array", Some(&other)));
            return Vec::new();
        }
    };
    let mut rigs = Vec::new();
    let mut names = HashSet::new();
    for (index, item) in items.into_iter().enumerate() {
        let place = ["rigs".into(), Value::from(index)];
        match first_rig(item) {
            Ok(rig) if !names.insert(rig.rig_name.folded()) => {
                let duplicate = Issue::custom("rigName", "is already used by another rig");
                config.issues.push(duplicate.within(&place));
            }
            Ok(rig) => rigs.push(rig),
            Err(issues) => config.issues.extend(issues.into_iter().map(|issue| issue.within(&place))),
        }
    }
    rigs
}

fn first_rig(item: Value) -> Result<FirstRig, Vec<Issue>> {
    let Value::Object(members) = item else {
        return Err(vec![Issue::wrong_type(Vec::new(), "object", Some(&item))]);
    };
    let spelled = |spellings: &[&'static str]| {
        spellings.iter().copied().find(|spelling| members.contains_key(*spelling)).unwrap_or(spellings[0])
    };
    let (name, repo) = (spelled(&["rigName", "name", "rig_name"]), spelled(&["repoUrl", "repo_url"]));
    let mut fields = Fields::over(members);
    let rig_name = fields.required(name);
    let repo_url = fields.required(repo);
    let branch = fields.optional("branch");
    match (rig_name, repo_url) {
        (Some(rig_name), Some(repo_url)) if fields.issues.is_empty() => Ok(FirstRig { rig_name, repo_url, branch }),
        _ => Err(fields.issues),
    }
}

fn models(config: &mut Fields) -> Option<Models> {
    let value = config.take("models").filter(|value| !value.is_null())?;
    let models = serde_json::from_value(value).ok();
    if models.is_none() {
        config.issues.push(Issue::custom("models", "must map roles to models, or list models in order of preference"));
    }
    models
}

fn max_polecats(config: &mut Fields) -> Option<u32> {
    // Stored under the name in the contract. The wire's camelCase name is accepted too.
    let given = config.take("max_polecats").or_else(|| config.take("maxPolecats"));
    let value = given.filter(|value| !value.is_null())?;
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    if number.is_none() {
        let message = format!("must be a whole number between 0 and {}", u32::MAX);
        config.issues.push(Issue::custom("max_polecats", message));
    }
    number
}

fn idle_stop_minutes(config: &mut Fields) -> Option<IdleMinutes> {
    let given = config.take("idle_stop_minutes").or_else(|| config.take("idleStopMinutes"));
    let value = given.filter(|value| !value.is_null())?;
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    let minutes = number.and_then(IdleMinutes::new);
    if minutes.is_none() {
        let (min, max) = (IdleMinutes::MIN, IdleMinutes::MAX);
        let message = format!("must be a whole number of minutes between {min} and {max}, or null for no idle stop");
        config.issues.push(Issue::custom("idle_stop_minutes", message));
    }
    minutes
}
