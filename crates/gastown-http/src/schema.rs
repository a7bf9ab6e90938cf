//! The description of the wire, from the types of the procedures: for generated clients, pages and tests.

use std::sync::Arc;

use futures::Stream;
use gastown_domain::ports::Caller;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::{
    input::Declared,
    procedures::described,
    reason::Reason,
    trpc::{CallError, Kind, Tracked},
};

/// The description of the wire.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The procedures, in the order of a town's life.
    pub procedures: Vec<Procedure>,
    /// The JSON schemas of the named types.
    pub types: Map<String, Value>,
}

/// The callers of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledBy {
    /// A user, with a bearer token.
    User,
    /// The sandbox of a town, with the town's key.
    Sandbox,
}

/// The description of a procedure.
#[derive(Debug, Clone)]
pub struct Procedure {
    /// The name, such as `gastown.createTown`.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The callers.
    pub called_by: CalledBy,
    /// A sentence about what it does.
    pub summary: &'static str,
    /// The JSON schema of the input. `None`: there is none.
    pub input: Option<Value>,
    /// The JSON schema of the output.
    pub output: Value,
    /// An input, as an example. `$TOWN_ID` and `$RIG_ID` stand for ids.
    pub example: Value,
    /// The reasons of errors, besides those of every call.
    pub reasons: Vec<Reason>,
    /// True if the answer may be the failure of the operation that the call requested.
    pub may_fail: bool,
}

impl Procedure {
    pub(crate) fn refusing(mut self, reasons: &[Reason]) -> Self {
        self.reasons.extend(reasons);
        self
    }

    pub(crate) fn failing(self) -> Self {
        Self { may_fail: true, ..self }
    }

    /// Returns true if an error of this procedure may have the reason: its own, one of every call, or a failure.
    pub fn declares(&self, reason: Reason) -> bool {
        let may_fail = self.may_fail && matches!(reason, Reason::Failed(_));
        may_fail || self.reasons.contains(&reason) || REASONS_OF_EVERY_CALL.contains(&reason)
    }
}

impl Wire {
    /// Returns true if an error of this path may have the reason, by its word. A path that is no procedure, and an error
    /// of a whole request, may have the reasons of every call.
    pub fn declares(&self, path: Option<&str>, word: &str) -> bool {
        let Some(reason) = Reason::all().find(|reason| reason.word() == word) else { return false };
        match self.procedures.iter().find(|procedure| path == Some(procedure.name)) {
            Some(procedure) => procedure.declares(reason),
            None => REASONS_OF_EVERY_CALL.contains(&reason),
        }
    }
}

/// The reasons of errors that every call may have.
pub const REASONS_OF_EVERY_CALL: &[Reason] = &[
    Reason::NoProcedure,
    Reason::WrongMethod,
    Reason::WrongContentType,
    Reason::MalformedRequest,
    Reason::BatchTooLarge,
    Reason::MalformedInput,
    Reason::BodyTooLarge,
    Reason::BodyTimeout,
    Reason::AnswerTooLarge,
    Reason::AnswersNotRead,
    Reason::TooManyCalls,
    Reason::Overloaded,
    Reason::TimedOut,
    Reason::NotStarted,
    Reason::StillRunning,
    Reason::Unavailable,
    Reason::Internal,
];

/// A caller that a guard admits.
pub(crate) trait Admitted {
    const BY: CalledBy;
}

impl Admitted for Caller {
    const BY: CalledBy = CalledBy::User;
}

impl Admitted for SecretString {
    const BY: CalledBy = CalledBy::Sandbox;
}

/// Builds the descriptions of procedures from their functions.
pub(crate) struct Describer {
    generator: SchemaGenerator,
}

impl Describer {
    /// Describes a procedure by the types of its function.
    pub(crate) fn procedure<P, C, I, O, F, Fut>(
        &mut self,
        (kind, name, summary): (Kind, &'static str, &'static str),
        _: F,
        example: Value,
    ) -> Procedure
    where
        P: ?Sized,
        C: Admitted,
        I: Declared,
        O: JsonSchema,
        F: Fn(Arc<P>, C, I) -> Fut,
        Fut: Future<Output = Result<O, CallError>>,
    {
        self.described::<C, I, O>((kind, name, summary), example)
    }

    /// Describes a subscription by the types of its function. Its output is one value.
    pub(crate) fn subscription<P, C, I, O, F, Fut, S>(
        &mut self,
        (name, summary): (&'static str, &'static str),
        _: F,
        example: Value,
    ) -> Procedure
    where
        P: ?Sized,
        C: Admitted,
        I: Declared,
        O: JsonSchema,
        F: Fn(Arc<P>, C, I) -> Fut,
        Fut: Future<Output = Result<S, CallError>>,
        S: Stream<Item = Result<Tracked<O>, CallError>>,
    {
        self.described::<C, I, O>((Kind::Subscription, name, summary), example)
    }

    fn described<C: Admitted, I: Declared, O: JsonSchema>(
        &mut self,
        (kind, name, summary): (Kind, &'static str, &'static str),
        example: Value,
    ) -> Procedure {
        let input = I::HAS_INPUT.then(|| self.generator.subschema_for::<I::Form>().to_value());
        let output = self.generator.subschema_for::<O>().to_value();
        let of_guard = match C::BY {
            CalledBy::User => Reason::InvalidToken,
            CalledBy::Sandbox => Reason::InvalidKey,
        };
        let mut reasons = vec![of_guard];
        reasons.extend(I::HAS_INPUT.then_some(Reason::InvalidInput));
        Procedure { name, kind, called_by: C::BY, summary, input, output, example, reasons, may_fail: false }
    }
}

/// The member `data` of an error.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct ErrorData {
    /// The code of tRPC.
    #[schemars(with = "CodeName")]
    code: (),
    /// The reason. Programs test it.
    #[schemars(with = "ReasonWord")]
    reason: (),
    /// The status of this call alone.
    http_status: u16,
    /// The procedure. Absent if the whole request failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The faults of the input, with `invalid_input` and `region_not_offered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<Vec<InputIssue>>,
    /// The faults of the input by field, as zod's `flatten()` groups them.
    #[serde(skip_serializing_if = "Option::is_none")]
    zod_error: Option<FlattenedIssues>,
    /// The kind of the operation in flight, with `operation_in_progress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<gastown_domain::Recorded<gastown_domain::OperationKind>>,
    /// The failure of the operation, if it was accepted and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<gastown_domain::Failure>,
    /// The work that would be lost, with `rig_in_use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_the_way: Option<Vec<String>>,
    /// The limit that is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// The largest answer in bytes, with `answer_too_large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    /// The seconds after which the call may be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// False: the call did nothing, and may be repeated. Present with time-outs.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<bool>,
}

/// A fault of an input, as zod reports it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct InputIssue {
    /// The kind of the fault.
    code: String,
    /// The text for the user.
    message: String,
    /// Names and indexes from the root of the input.
    path: Vec<PathStep>,
    /// The members that zod adds for this kind.
    #[serde(flatten)]
    facts: Map<String, Value>,
}

/// A name or an index.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum PathStep {
    Name(String),
    Index(u32),
}

/// The faults of an input, by field.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct FlattenedIssues {
    /// Faults of the input as a whole.
    form_errors: Vec<String>,
    /// Faults of its fields.
    field_errors: std::collections::BTreeMap<String, Vec<String>>,
}

struct CodeName;

impl JsonSchema for CodeName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        let mut names: Vec<_> = Reason::all().map(|reason| reason.code().name()).collect();
        names.sort_unstable();
        names.dedup();
        schemars::json_schema!({ "type": "string", "enum": names, "description": "The codes of tRPC that are used." })
    }
}

struct ReasonWord;

impl JsonSchema for ReasonWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorReason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        let words: Vec<_> = Reason::all().map(Reason::word).collect();
        schemars::json_schema!({ "type": "string", "enum": words, "description": "The reasons of errors." })
    }
}

/// Returns the description of the wire.
pub fn wire() -> Wire {
    let mut describer = Describer { generator: SchemaSettings::draft2020_12().for_serialize().into_generator() };
    let procedures = described(&mut describer);
    describer.generator.subschema_for::<ErrorData>();
    let mut types = describer.generator.take_definitions(true);
    // In a change of a configuration, `null` removes.
    types.iter_mut().filter(|(name, _)| *name != "TownConfigPatch").for_each(|(_, schema)| without_null(schema));
    Wire { procedures, types }
}

/// Removes `null` from members that may be absent. They are never `null`.
fn without_null(schema: &mut Value) {
    let required = schema["required"].clone();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        let is_required = required.as_array().is_some_and(|names| names.contains(&json!(name)));
        let Some(members) = property.as_object_mut().filter(|_| !is_required) else { continue };
        if let Some(Value::Array(types)) = members.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                members.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = &choices[..] {
                let only = only.clone();
                members.remove("anyOf");
                members.extend(only);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_belongs_to_a_procedure_or_to_every_call() {
        let wire = wire();
        for reason in Reason::all() {
            let listed = match reason {
                Reason::Failed(_) => wire.procedures.iter().any(|procedure| procedure.may_fail),
                refusal => {
                    REASONS_OF_EVERY_CALL.contains(&refusal)
                        || wire.procedures.iter().any(|procedure| procedure.reasons.contains(&refusal))
                }
            };
            assert!(listed, "{reason:?} is of no procedure");
        }
    }

    #[test]
    fn every_type_and_member_is_described() {
        for (name, schema) in wire().types {
            assert!(schema["description"].is_string(), "{name}");
            for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
                assert!(schema["description"].is_string(), "{name}.{member}");
            }
        }
    }
}
