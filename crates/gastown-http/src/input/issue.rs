use gastown_domain::Invalid;
use serde_json::{Map, Value, json};

use crate::{reason::Reason, trpc::CallError};

/// One fault of an input, in the format of zod 3.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    /// Member names and indexes, from the root of the input.
    path: Vec<Value>,
    code: &'static str,
    message: String,
    /// The members that zod adds for this code.
    facts: Map<String, Value>,
}

impl Issue {
    /// A member breaks a rule of this service.
    pub(crate) fn custom(name: &str, message: impl Into<String>) -> Self {
        Self { path: vec![name.into()], code: "custom", message: message.into(), facts: Map::new() }
    }

    /// A value has the wrong type. `None` is `undefined`.
    pub(super) fn wrong_type(path: Vec<Value>, expected: &'static str, got: Option<&Value>) -> Self {
        let received = got.map_or("undefined", type_name);
        let message = match got {
            None => "Required".to_owned(),
            Some(_) => format!("Expected {expected}, received {received}"),
        };
        Self { path, code: "invalid_type", message, facts: facts(&json!({"expected": expected, "received": received})) }
    }

    /// A text is not a valid value of the domain.
    pub(super) fn invalid(path: Vec<Value>, validation: &'static str, error: &Invalid) -> Self {
        let size = |bound: &str, length: usize| {
            facts(&json!({ bound: length, "type": "string", "inclusive": true, "exact": false }))
        };
        let (code, facts) = match error {
            Invalid::Empty => ("too_small", size("minimum", 1)),
            Invalid::TooLong { max, .. } => ("too_big", size("maximum", *max)),
            Invalid::Shape { .. } | Invalid::Character { .. } | Invalid::Edge => {
                ("invalid_string", facts(&json!({ "validation": validation })))
            }
            _ => ("custom", Map::new()),
        };
        Self { path, code, message: error.to_string(), facts }
    }

    /// Prepends the path of the enclosing member.
    pub(crate) fn within(mut self, parents: &[Value]) -> Self {
        self.path.splice(0..0, parents.iter().cloned());
        self
    }

    fn to_json(&self) -> Value {
        let mut members = self.facts.clone();
        members.insert("code".to_owned(), self.code.into());
        members.insert("message".to_owned(), self.message.as_str().into());
        members.insert("path".to_owned(), self.path.clone().into());
        members.into()
    }
}

/// Returns the answer to an input with these faults.
pub(super) fn bad_request(issues: &[Issue]) -> CallError {
    refused_input(Reason::InvalidInput, issues)
}

/// The most faults of an input that are named. Each is written three times.
const MAX_ISSUES: usize = 20;

/// Returns the answer to an input with these faults, for a reason of its own. It names the first 20.
pub(crate) fn refused_input(reason: Reason, issues: &[Issue]) -> CallError {
    let issues = &issues[..issues.len().min(MAX_ISSUES)];
    let list: Vec<_> = issues.iter().map(Issue::to_json).collect();
    let message = serde_json::to_string_pretty(&list).unwrap_or_else(|_| "Invalid input".to_owned());
    reason.error(message).with_detail("zodError", flattened(issues)).with_detail("issues", list.into())
}

impl From<Issue> for CallError {
    fn from(issue: Issue) -> Self {
        bad_request(&[issue])
    }
}

/// Groups the messages as zod's `flatten()` does: by member, and those about the whole input.
fn flattened(issues: &[Issue]) -> Value {
    let mut form_errors: Vec<Value> = Vec::new();
    let mut field_errors: Map<String, Value> = Map::new();
    for issue in issues {
        let Some((field, inner)) = issue.path.split_first() else {
            form_errors.push(issue.message.as_str().into());
            continue;
        };
        let place: Vec<_> = inner.iter().map(plain).collect();
        let text = [place.join("."), issue.message.clone()].join(" ").trim_start().to_owned();
        let texts = field_errors.entry(plain(field)).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(texts) = texts {
            texts.push(text.into());
        }
    }
    json!({ "formErrors": form_errors, "fieldErrors": field_errors })
}

fn plain(step: &Value) -> String {
    step.as_str().map_or_else(|| step.to_string(), str::to_owned)
}

fn facts(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Returns zod's name for the type of a value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
