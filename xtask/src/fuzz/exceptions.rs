//! The answers that the simulator gives although Fly's document does not describe them, with the reason of each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{answers::Answers, fly_sim};
use crate::workspace;

/// The file, relative to the root.
const FILE: &str = "crates/fly-sim/fuzz/exceptions.toml";
/// The schema of every error answer.
const ERROR_SCHEMA: &str = "#/components/schemas/ErrorResponse";

/// The content of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exceptions {
    status: Vec<StatusException>,
    schema: Vec<SchemaException>,
    input: Vec<Input>,
}

/// A status that the document does not list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusException {
    status: u16,
    reason: String,
    /// The operations, as `GET /apps`. A `*` at the end stands for every continuation.
    operations: BTreeSet<String>,
}

/// A part of a schema that is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaException {
    /// The JSON pointer to the part.
    pointer: String,
    /// The fields that are set there.
    set: Map<String, Value>,
    /// A text in an answer that needs the exception.
    shows: String,
    reason: String,
}

/// A part of the schema of a request that allows what Fly always refuses. Without it, few calls would succeed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The JSON pointer to the part.
    pointer: String,
    /// The fields that are set there.
    set: Map<String, Value>,
}

impl StatusException {
    /// Adds the answer to an operation of the document. Returns false if the document has it.
    fn add_to(&self, document: &mut Value, operation: &str) -> anyhow::Result<bool> {
        let (method, path) = operation.split_once(' ').context("an operation is written as GET /path")?;
        let responses = document["paths"][path][method.to_ascii_lowercase()]["responses"].as_object_mut();
        let responses = responses.with_context(|| format!("{operation} has no responses"))?;
        let status = self.status.to_string();
        if responses.contains_key(&status) {
            return Ok(false);
        }
        let schema = json!({ "application/json": { "schema": { "$ref": ERROR_SCHEMA } } });
        responses.insert(status, json!({ "description": "Exception", "content": schema }));
        Ok(true)
    }

    /// Returns true if an answer needed the exception.
    fn is_met(&self, answers: &Answers) -> bool {
        let operations = answers.operations_with(self.status);
        operations.iter().any(|operation| self.operations.iter().any(|listed| is_about(listed, operation)))
    }
}

/// Returns true if an operation is listed so.
fn is_about(listed: &str, operation: &str) -> bool {
    listed == operation || listed.strip_suffix('*').is_some_and(|start| operation.starts_with(start))
}

impl Exceptions {
    /// Reads the file.
    pub(super) fn load() -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(workspace::root().join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(&text).with_context(|| format!("{FILE} is invalid"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let exceptions: Self = toml::from_str(text)?;
        let reasons = exceptions.status.iter().map(|exception| &exception.reason);
        let mut reasons = reasons.chain(exceptions.schema.iter().map(|exception| &exception.reason));
        ensure!(reasons.all(|reason| !reason.trim().is_empty()), "an exception has no reason");
        Ok(exceptions)
    }

    /// Adds the exceptions to the document, so that Schemathesis checks the bodies of these answers too.
    pub(super) fn apply(&self, document: &mut Value) -> anyhow::Result<()> {
        let all = fly_sim::operations(document);
        for exception in &self.status {
            for listed in &exception.operations {
                let meant: Vec<&String> = all.iter().filter(|operation| is_about(listed, operation)).collect();
                ensure!(!meant.is_empty(), "the document has no operation {listed}");
                let mut added = 0;
                for operation in meant {
                    added += usize::from(exception.add_to(document, operation)?);
                }
                ensure!(added > 0, "the document has {} of {listed}, or it is listed twice", exception.status);
            }
        }
        let schemas = self.schema.iter().map(|exception| (&exception.pointer, &exception.set));
        for (pointer, set) in schemas.chain(self.input.iter().map(|input| (&input.pointer, &input.set))) {
            let part = document.pointer_mut(pointer).and_then(Value::as_object_mut);
            let part = part.with_context(|| format!("the document has no object at {pointer}"))?;
            part.extend(set.clone());
        }
        Ok(())
    }

    /// Returns the statuses from 500 on by operation.
    pub(super) fn server_errors(&self) -> impl Iterator<Item = (&str, BTreeSet<u16>)> {
        let mut found: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        for exception in self.status.iter().filter(|exception| exception.status >= 500) {
            for operation in &exception.operations {
                found.entry(operation).or_default().insert(exception.status);
            }
        }
        found.into_iter()
    }

    /// Returns a finding for each exception that no answer needed.
    pub(super) fn unmet(&self, answers: &Answers) -> Vec<String> {
        let statuses = self.status.iter().filter(|exception| !exception.is_met(answers));
        let statuses = statuses.map(|exception| format!("{FILE}: {} ({})", exception.status, exception.reason));
        let schemas = self.schema.iter().filter(|exception| !answers.show(&exception.shows));
        let schemas = schemas.map(|exception| format!("{FILE}: {} ({})", exception.pointer, exception.reason));
        statuses.chain(schemas).map(|exception| exception + " was not met; remove it").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[status]]
        status = 501
        reason = "not simulated"
        operations = ["GET /apps"]
        [[schema]]
        pointer = "/components/schemas/App"
        set = { nullable = true }
        shows = '"app":null'
        reason = "Go writes null"
        [[input]]
        pointer = "/paths/~1apps/get"
        set = { parameters = [] }
    "#;

    fn document() -> Value {
        json!({
            "paths": { "/apps": { "get": { "responses": { "200": {} } } } },
            "components": { "schemas": { "App": { "type": "object" } } },
        })
    }

    #[test]
    fn exceptions_become_a_part_of_the_document() {
        let exceptions = Exceptions::parse(LIST).unwrap();
        let mut document = document();
        exceptions.apply(&mut document).unwrap();
        assert!(document["paths"]["/apps"]["get"]["responses"]["501"].is_object());
        assert_eq!(document["components"]["schemas"]["App"], json!({ "type": "object", "nullable": true }));
        assert_eq!(exceptions.server_errors().collect::<Vec<_>>(), [("GET /apps", BTreeSet::from([501]))]);
        assert!(exceptions.apply(&mut document).unwrap_err().to_string().contains("listed twice"));
    }

    #[test]
    fn a_star_stands_for_every_continuation() {
        assert!(is_about("GET /apps*", "GET /apps/{app_name}") && is_about("GET /apps", "GET /apps"));
        assert!(!is_about("GET /apps", "GET /apps/{app_name}") && !is_about("GET /apps/*", "PUT /apps/{app_name}"));
    }

    #[test]
    fn unknown_operations_and_empty_reasons_are_refused() {
        let refused = |text: &str| Exceptions::parse(text).and_then(|list| list.apply(&mut document())).unwrap_err();
        assert!(refused(&LIST.replace("GET /apps", "GET /none")).to_string().contains("no operation GET /none"));
        assert!(refused(&LIST.replace("schemas/App", "schemas/None")).to_string().contains("no object at"));
        assert!(refused(&LIST.replace("501", "200")).to_string().contains("the document has 200 of GET /apps"));
        assert!(refused(&LIST.replace("not simulated", " ")).to_string().contains("no reason"));
    }

    #[test]
    fn an_exception_that_no_answer_needs_is_a_finding() {
        let exceptions = Exceptions::parse(LIST).unwrap();
        assert_eq!(exceptions.unmet(&Answers::default()).len(), 2);
    }

    #[test]
    fn the_file_fits_the_document() {
        let path = workspace::root().join("crates/fly-sim/spec/fly-openapi.json");
        let mut document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Exceptions::load().unwrap().apply(&mut document).unwrap();
    }
}
