//! Checks of requests and answers against Fly's OpenAPI document.

mod exceptions;
mod undocumented;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jsonschema::{Draft, Validator};
use serde::Serialize;
use serde_json::{Value, json};

pub use exceptions::Side;

use crate::route::Call;

const DOCUMENT: &str = include_str!("../../spec/fly-openapi.json");

/// A body or parameter that does not match Fly's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The call.
    pub call: Call,
    /// The side that violates the document: the client in a request, or the simulator in a response.
    pub side: Side,
    /// The problem, with its place in the body.
    pub problem: String,
}

/// An invalid OpenAPI document in this crate.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The document is not JSON.
    #[error("the embedded OpenAPI document is not JSON")]
    Json(#[from] serde_json::Error),
    /// A schema of the document is invalid.
    #[error("failed to compile the schema of {call:?}")]
    Schema {
        /// The call.
        call: Call,
        /// The error of the compiler.
        #[source]
        cause: Box<jsonschema::ValidationError<'static>>,
    },
}

/// The subject of a validator: the request of a call, or its answer with a status.
type Key = (Call, Option<u16>);

/// The document and the validators compiled so far, one per call and status.
pub(crate) struct Contract {
    document: Value,
    compiled: Mutex<HashMap<Key, Option<Arc<Validator>>>>,
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contract").finish_non_exhaustive()
    }
}

impl Contract {
    /// Returns the contract of this process. All simulators share the compiled schemas.
    pub(crate) fn shared() -> Result<Arc<Self>, SpecError> {
        static SHARED: OnceLock<Arc<Contract>> = OnceLock::new();
        if let Some(contract) = SHARED.get() {
            return Ok(contract.clone());
        }
        let contract = Arc::new(Self { document: serde_json::from_str(DOCUMENT)?, compiled: Mutex::default() });
        Ok(SHARED.get_or_init(|| contract).clone())
    }

    /// Returns the violations for which Fly rejects a request.
    pub(crate) fn check_request(&self, call: Call, body: &Value) -> Result<Vec<Violation>, SpecError> {
        let side = Side::Request;
        self.mismatches(call, side, None, &exceptions::normalize(call, side, body))
    }

    /// Removes the fields of the body that Fly ignores silently. Returns them and unknown parameters as violations.
    pub(crate) fn remove_ignored_fields(
        &self,
        call: Call,
        query: &[(String, String)],
        body: &mut Value,
    ) -> Vec<Violation> {
        let side = Side::Request;
        let unknown = self.unknown_fields(call, side, None, body);
        for pointer in &unknown {
            remove(body, pointer);
        }
        let fields = unknown.into_iter().map(unknown_field);
        let unknown = query.iter().filter(|(name, _)| !self.has_query(call, name) && !exceptions::accepts_query(name));
        let parameters = unknown.map(|(name, _)| format!("query parameter '{name}' is unknown"));
        fields.chain(parameters).map(|problem| Violation { call, side, problem }).collect()
    }

    /// Returns the violations in an answer.
    pub(crate) fn check_response(&self, call: Call, status: u16, body: &Value) -> Result<Vec<Violation>, SpecError> {
        let side = Side::Response;
        let normalized = exceptions::normalize(call, side, body);
        let mut violations = self.mismatches(call, side, Some(status), &normalized)?;
        let mut walk = UndocumentedWalk { contract: self, call, segments: Vec::new(), problems: Vec::new() };
        walk.check(self.schema(call, Some(status)), &normalized);
        violations.extend(walk.problems.into_iter().map(|problem| Violation { call, side, problem }));
        Ok(violations)
    }

    /// Returns the differences between a normalized body and its schema.
    fn mismatches(
        &self,
        call: Call,
        side: Side,
        status: Option<u16>,
        body: &Value,
    ) -> Result<Vec<Violation>, SpecError> {
        let Some(validator) = self.validator(call, status)? else { return Ok(Vec::new()) };
        if validator.is_valid(body) {
            return Ok(Vec::new());
        }
        let problems = validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path()));
        Ok(problems.map(|problem| Violation { call, side, problem }).collect())
    }

    fn validator(&self, call: Call, status: Option<u16>) -> Result<Option<Arc<Validator>>, SpecError> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&(call, status)) {
            return Ok(known.clone());
        }
        let validator = match self.schema(call, status) {
            None => None,
            Some(schema) => {
                let whole = json!({ "allOf": [schema], "components": self.document["components"] });
                let built = jsonschema::options().with_draft(Draft::Draft4).build(&whole);
                Some(Arc::new(built.map_err(|cause| SpecError::Schema { call, cause: Box::new(cause) })?))
            }
        };
        compiled.insert((call, status), validator.clone());
        Ok(validator)
    }

    /// Returns the schema of the answer with this status, or of the request if there is none.
    fn schema(&self, call: Call, status: Option<u16>) -> Option<&Value> {
        let operation = self.operation(call)?;
        let content = match status {
            None => operation.get("requestBody")?.get("content")?,
            Some(status) if status >= 400 => return self.document.pointer("/components/schemas/ErrorResponse"),
            Some(status) => operation.get("responses")?.get(status.to_string())?.get("content")?,
        };
        content.get("application/json")?.get("schema")
    }

    fn operation(&self, call: Call) -> Option<&Value> {
        let (method, path) = call.operation()?;
        self.document.get("paths")?.get(path)?.get(method.to_ascii_lowercase())
    }

    fn has_query(&self, call: Call, name: &str) -> bool {
        let parameters = self.operation(call).and_then(|operation| operation.get("parameters")?.as_array());
        parameters.into_iter().flatten().any(|parameter| parameter["in"] == "query" && parameter["name"] == name)
    }

    /// Returns pointers to the fields of the body that the schema does not have.
    fn unknown_fields(&self, call: Call, side: Side, status: Option<u16>, body: &Value) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(schema) = self.schema(call, status) {
            self.collect_unknown_fields(schema, &exceptions::normalize(call, side, body), "", &mut found);
        }
        found
    }

    /// Collects pointers to the fields that the schema does not have. A schema without properties allows any field.
    fn collect_unknown_fields(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        if let Value::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                self.collect_unknown_fields(&self.resolve(schema)["items"], item, &format!("{at}/{index}"), found);
            }
        }
        let Value::Object(fields) = value else { return };
        let schema = self.resolve(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            match (properties.and_then(|properties| properties.get(name)), schema.get("additionalProperties")) {
                (Some(property), _) => self.collect_unknown_fields(property, value, &at, found),
                (None, Some(additional)) => self.collect_unknown_fields(additional, value, &at, found),
                (None, None) if properties.is_some() => found.push(at),
                (None, None) => {}
            }
        }
    }

    /// Resolves references and an `allOf` with one schema.
    fn resolve<'schema>(&'schema self, schema: &'schema Value) -> &'schema Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        if let Some(target) = reference.and_then(|pointer| self.document.pointer(pointer)) {
            return self.resolve(target);
        }
        match schema.get("allOf").and_then(|all| all.as_array()?.first()) {
            Some(only) if schema.get("properties").is_none() => self.resolve(only),
            _ => schema,
        }
    }
}

/// A walk through an answer that finds the fields without a description and without a line in the list of sources.
struct UndocumentedWalk<'contract> {
    contract: &'contract Contract,
    call: Call,
    /// The path of the current value. The index of a list is `*`.
    segments: Vec<String>,
    problems: Vec<String>,
}

impl UndocumentedWalk<'_> {
    /// Checks a value against its schema. Without one, every field needs a line.
    fn check(&mut self, schema: Option<&Value>, value: &Value) {
        let schema = schema.map(|schema| self.contract.resolve(schema));
        match value {
            Value::Array(items) => {
                let of_items = schema.and_then(|schema| schema.get("items"));
                for item in items {
                    self.check_entry("*", of_items, schema.is_some(), item);
                }
            }
            Value::Object(fields) => {
                let properties = schema.and_then(|schema| schema.get("properties"));
                let additional = schema.and_then(|schema| schema.get("additionalProperties"));
                for (name, value) in fields {
                    let described = properties.and_then(|properties| properties.get(name)).or(additional);
                    self.check_entry(name, described, described.is_some(), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn check_entry(&mut self, name: &str, schema: Option<&Value>, is_described: bool, value: &Value) {
        self.segments.push(name.to_owned());
        if !is_described {
            let line = undocumented::LINES.iter().find(|line| line.is_about(self.call, &self.segments));
            let at = self.segments.join("/");
            match line {
                None => self.problems.push(format!("/{at}: unknown field")),
                Some(line) if !line.form.fits(value) => {
                    self.problems.push(format!("/{at}: {value} is not a {:?}, as in {}", line.form, line.source));
                }
                Some(_) => {}
            }
        }
        self.check(schema, value);
        self.segments.pop();
    }
}

fn unknown_field(pointer: String) -> String {
    pointer + ": unknown field"
}

/// Removes the field at a JSON pointer.
fn remove(body: &mut Value, pointer: &str) {
    if let Some((parent, name)) = pointer.rsplit_once('/')
        && let Some(Value::Object(fields)) = body.pointer_mut(parent)
    {
        fields.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::OPERATIONS;

    #[test]
    fn every_routed_call_is_in_the_document() {
        let contract = Contract::shared().unwrap();
        let missing: Vec<Call> = Call::machines_api().filter(|call| contract.operation(*call).is_none()).collect();
        assert_eq!(missing, []);
    }

    #[test]
    fn wrong_type_is_a_mismatch_and_null_is_not() {
        let contract = Contract::shared().unwrap();
        let check = |body| contract.check_request(Call::CreateVolume, &body).unwrap().len();
        assert_eq!(check(json!({ "name": "v", "size_gb": 3, "snapshot_id": null })), 0);
        assert_eq!(check(json!({ "name": "v", "size_gb": "3" })), 1);
    }

    #[test]
    fn every_operation_of_the_document_is_in_the_table_and_no_other() {
        let contract = Contract::shared().unwrap();
        let paths = contract.document["paths"].as_object().unwrap();
        let mut documented: Vec<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
            })
            .collect();
        let mut known: Vec<String> =
            OPERATIONS.iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect();
        documented.sort();
        known.sort();
        assert_eq!((known, paths.len()), (documented, 53));
    }

    #[test]
    fn undocumented_field_needs_a_line_with_its_source() {
        let contract = Contract::shared().unwrap();
        let problems = |call, body: Value| -> Vec<String> {
            contract.check_response(call, 200, &body).unwrap().into_iter().map(|found| found.problem).collect()
        };
        let exit = |exited_at: Value| json!([{ "id": "1", "request": { "exit_event": { "exited_at": exited_at } } }]);
        assert_eq!(problems(Call::ListEvents, exit(json!("2026-10-10T04:06:01.334578044Z"))), [""; 0]);
        assert!(problems(Call::ListEvents, exit(json!(1_653_346_105_255_u64)))[0].contains("is not a Time"));
        assert_eq!(
            problems(Call::ListEvents, json!([{ "request": { "colour": 1 } }])),
            ["/*/request/colour: unknown field"]
        );
        assert_eq!(problems(Call::StopMachine, json!({ "ok": true })), [""; 0]);
        assert_eq!(problems(Call::StopMachine, json!({ "colour": 1 })), ["/colour: unknown field"]);
        assert!(undocumented::LINES.iter().all(|line| !line.source.is_empty()));
    }

    #[test]
    fn ignored_fields_are_reported_and_removed() {
        let contract = Contract::shared().unwrap();
        let mut body = json!({ "config": { "image": "i", "restart_policy": "no" } });
        let query = [("metadata.a".to_owned(), "b".to_owned()), ("colour".to_owned(), "red".to_owned())];
        let problems: Vec<String> = contract
            .remove_ignored_fields(Call::CreateMachine, &query, &mut body)
            .into_iter()
            .map(|found| found.problem)
            .collect();
        assert_eq!(problems, ["/config/restart_policy: unknown field", "query parameter 'colour' is unknown"]);
        assert_eq!(body, json!({ "config": { "image": "i" } }));
    }
}
