//! The `OpenAPI` document of single calls, for clients without tRPC.

use gastown_http::Reason;
use gastown_http::schema::{CalledBy, Procedure, REASONS_OF_EVERY_CALL, Wire};
use gastown_http::trpc::Kind;
use serde_json::{Map, Value, json};

use super::short;

/// Returns the document.
pub(super) fn document(wire: &Wire) -> Value {
    let paths: Map<String, Value> =
        wire.procedures.iter().map(|procedure| (format!("/trpc/{}", procedure.name), path(procedure))).collect();
    let mut schemas = wire.types.clone();
    let error = json!({
        "type": "object",
        "description": "An error.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "code", "data"],
            "properties": {
                "message": {"type": "string"},
                "code": {"type": "integer"},
                "data": {"$ref": "#/components/schemas/ErrorData"},
            },
        }},
    });
    schemas.insert("ErrorEnvelope".to_owned(), error);
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gastown Cloud",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Generated from the Rust types by `cargo xtask codegen`.",
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "user": {"type": "http", "scheme": "bearer"},
                "sandbox": {"type": "apiKey", "in": "header", "name": "x-internal-api-key"},
            },
        },
    });
    referring_to_components(document)
}

fn path(procedure: &Procedure) -> Value {
    let guard = match procedure.called_by {
        CalledBy::User => "user",
        CalledBy::Sandbox => "sandbox",
    };
    let output = json!({"type": "object", "required": ["result"], "properties": {
        "result": {"type": "object", "required": ["data"], "properties": {"data": procedure.output}},
    }});
    let mut operation = json!({
        "operationId": short(procedure.name),
        "summary": procedure.summary,
        "security": [{guard: []}],
        "responses": responses(procedure, &output),
    });
    let (method, key, input) = match (procedure.kind, &procedure.input) {
        (Kind::Query | Kind::Subscription, Some(input)) => {
            let content = json!({"application/json": {"schema": input}});
            let required = procedure.name != "gastown.listTowns";
            (
                "get",
                "parameters",
                Some(json!([{"name": "input", "in": "query", "required": required, "content": content}])),
            )
        }
        (Kind::Mutation, Some(input)) => {
            let content = json!({"application/json": {"schema": input}});
            ("post", "requestBody", Some(json!({"required": true, "content": content})))
        }
        (Kind::Query | Kind::Subscription, None) => ("get", "", None),
        (Kind::Mutation, None) => ("post", "", None),
    };
    if let Some(input) = input {
        operation[key] = input;
    }
    json!({ method: operation })
}

/// Returns the answers by status. An error lists its reasons.
fn responses(procedure: &Procedure, output: &Value) -> Value {
    let mut answers = Map::new();
    answers.insert(
        "200".to_owned(),
        json!({
            "description": "The output.", "content": {"application/json": {"schema": output}},
        }),
    );
    let failures = Reason::all().filter(|reason| procedure.may_fail && matches!(reason, Reason::Failed(_)));
    let reasons = procedure.reasons.iter().copied().chain(REASONS_OF_EVERY_CALL.iter().copied()).chain(failures);
    let mut by_status: std::collections::BTreeMap<u16, Vec<String>> = std::collections::BTreeMap::new();
    for reason in reasons {
        let text = format!("{} `{}`", reason.code().name(), reason.word());
        by_status.entry(reason.code().http_status()).or_default().push(text);
    }
    for (status, reasons) in by_status {
        answers.insert(
            status.to_string(),
            json!({
                "description": reasons.join(", "),
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}},
            }),
        );
    }
    answers.into()
}

/// Replaces the places of JSON schema definitions by those of `OpenAPI`.
fn referring_to_components(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("#/$defs/", "#/components/schemas/").into(),
        Value::Array(items) => items.into_iter().map(referring_to_components).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, referring_to_components(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}
