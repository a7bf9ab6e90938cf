//! The calls of the check and of sandboxes, compared with `docs/sandbox-api.yaml`.

use std::collections::BTreeSet;

use axum::http::Method;
use gastown_sandbox_check::{Image, Outcome};
use serde_json::{Value, json};

use crate::double::Double;
use crate::recorder::{Exchange, Recorded, Recorder};
use crate::simulated::Simulated;
use crate::stage::{checker, home, town};

/// The specification of the sandbox API.
struct Contract(Value);

impl Contract {
    fn read() -> Self {
        Self(serde_saphyr::from_str(include_str!("../../../../docs/sandbox-api.yaml")).unwrap())
    }

    /// Returns what a reference names, or the value.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    /// Returns the operation of a call. `None`: the specification has no such path or method.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let method = method.as_str().to_lowercase();
        let operation = match path.strip_prefix("/trpc/") {
            Some(procedure) => &self.0["webhooks"][procedure][&method],
            None if path.strip_prefix("/rigs/").is_some_and(|name| !name.is_empty() && !name.contains('/')) => {
                &self.0["paths"]["/rigs/{name}"][&method]
            }
            None => &self.0["paths"][path][&method],
        };
        operation.is_object().then_some(operation)
    }

    /// Returns the errors of a body by the schema of its content.
    fn errors(&self, body: Option<&Value>, content: &Value) -> Vec<String> {
        let schema = &content["application/json"]["schema"];
        if schema.is_null() {
            return body.map(|body| format!("has a body: {body}")).into_iter().collect();
        }
        let Some(body) = body else { return vec!["has no JSON".to_owned()] };
        let whole = json!({ "components": self.0["components"], "allOf": [schema] });
        let validator = jsonschema::validator_for(&whole).unwrap();
        validator.iter_errors(body).map(|error| format!("{error} in {body}")).collect()
    }

    /// Returns the violations of an exchange. The check sends wrong bodies on purpose, so only those of accepted calls count.
    fn violations(&self, exchange: &Exchange) -> Vec<String> {
        let Exchange { method, path, request, status, answer } = exchange;
        let Some(operation) = self.operation(method, path) else { return Vec::new() };
        let answers = &operation["responses"];
        let described = [&answers[status.to_string()], &answers["default"]].into_iter().find(|it| it.is_object());
        let Some(described) = described else { return vec![format!("{method} {path}: {status} is not described")] };
        let mut errors = self.errors(answer.as_ref(), &self.resolved(described)["content"]);
        if (200..300).contains(status) && operation["requestBody"].is_object() {
            let content = &self.resolved(&operation["requestBody"])["content"];
            errors.extend(self.errors(request.as_ref(), content));
        }
        errors.into_iter().map(|error| format!("{method} {path}: {status}: {error}")).collect()
    }

    /// Returns the ids of all operations.
    fn operations(&self) -> BTreeSet<&str> {
        let paths = [&self.0["paths"], &self.0["webhooks"]].into_iter().flat_map(|paths| paths.as_object().unwrap());
        let methods = paths.flat_map(|(_, methods)| methods.as_object().unwrap());
        methods.map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect()
    }
}

/// Checks an image, and returns every exchange.
async fn exchanges(image: impl Image) -> Vec<Exchange> {
    let (recorder, home) = (Recorder::default(), home().await);
    let proxy = recorder.in_front_of(home.url()).await;
    let image = Recorded { image, recorder: recorder.clone() };
    let report = checker().check_image(&image, town(), &home, &proxy.url).await.unwrap();
    for finding in &report.findings {
        assert_eq!(finding.outcome, Outcome::Passed, "{}", finding.rule.name);
    }
    recorder.exchanges()
}

fn assert_described(exchanges: &[Exchange]) {
    let contract = Contract::read();
    let violations: Vec<_> = exchanges.iter().flat_map(|exchange| contract.violations(exchange)).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    let succeeded = exchanges.iter().filter(|exchange| (200..300).contains(&exchange.status));
    let called = succeeded.filter_map(|exchange| contract.operation(&exchange.method, &exchange.path));
    let called: BTreeSet<_> = called.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(called, contract.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_right_sandbox_keep_to_the_specification() {
    assert_described(&exchanges(Double::default()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_sandbox_keeps_to_the_specification() {
    let mut exchanges = exchanges(Simulated::start().await).await;
    // Fly's proxy answers with a text in place of a machine that does not run.
    exchanges.retain(|exchange| exchange.status != 503 || exchange.answer.is_some());
    assert_described(&exchanges);
}

#[test]
fn deviations_from_the_specification_are_found() {
    let contract = Contract::read();
    let right = Exchange {
        method: Method::GET,
        path: "/health".to_owned(),
        request: None,
        status: 200,
        answer: Some(json!({ "status": "ok", "townId": town() })),
    };
    assert!(contract.violations(&right).is_empty());
    let home = Exchange {
        method: Method::POST,
        path: "/trpc/gastown.heartbeat".to_owned(),
        request: Some(json!({ "townId": town() })),
        answer: Some(json!({ "result": { "data": { "townId": town(), "recorded": true } } })),
        ..right.clone()
    };
    assert!(contract.violations(&home).is_empty());
    for wrong in [
        Exchange { answer: Some(json!({ "status": "ok" })), ..right.clone() },
        Exchange { answer: None, ..right.clone() },
        Exchange { status: 418, ..right.clone() },
        Exchange { status: 503, ..right.clone() },
        Exchange { method: Method::DELETE, path: "/rigs/app".to_owned(), status: 204, ..right.clone() },
        Exchange { request: Some(json!({})), ..home.clone() },
        Exchange { status: 401, answer: Some(json!({ "error": "no" })), ..home.clone() },
    ] {
        assert!(!contract.violations(&wrong).is_empty(), "{wrong:?}");
    }
}
