//! The reference of the wire: its examples run, and real answers have the described types.

use std::sync::LazyLock;

use gastown_domain::ports::{GatewayToken, MockHomeCalls};
use gastown_http::{procedures, schema::wire};
use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    client_example::blocks,
    fake_towns::{FakeTowns, moment},
    server::Server,
    typescript::text,
    world::{ALICE, call, parts, parts_with, serve},
};

const REFERENCE: &str = include_str!("../../../../docs/wire.md");

async fn server() -> Server {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat().returning(|_, _, _, _| Ok(()));
    home.expect_refresh_token().returning(|_, _| Ok(GatewayToken { token: "t".into(), expires_at: moment() }));
    serve(parts_with(FakeTowns::default(), home)).await
}

async fn data_of(server: &Server, method: Method, name: &str, input: &Value) -> Value {
    let (status, envelope) = call(server, method, name, ALICE, input).await;
    assert_eq!(status, 200, "{name}: {envelope}");
    envelope["result"]["data"].clone()
}

/// Creates a town with a rig, and returns their ids and the version of the town's configuration.
async fn town_with_a_rig(server: &Server) -> (String, String, String) {
    let town = data_of(server, Method::POST, "gastown.createTown", &json!({"townName": "mill"})).await;
    let rig = json!({"townId": town["townId"], "rigName": "app", "repoUrl": "https://github.com/a/b"});
    let rig = data_of(server, Method::POST, "gastown.addRig", &rig).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&town["townId"]), text(&rig["rigId"]), text(&town["configVersion"]))
}

#[test]
fn every_procedure_is_described_once() {
    let router = procedures(&parts(FakeTowns::default()));
    let mut described: Vec<_> = wire().procedures.iter().map(|it| (it.name, it.kind.word())).collect();
    described.sort_unstable();
    assert_eq!(described, router.procedures().map(|(name, kind)| (name, kind.word())).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_examples_of_the_reference_succeed() {
    let server = server().await;
    let (town, rig, version) = town_with_a_rig(&server).await;
    let examples = blocks(REFERENCE, "sh");
    assert_eq!(examples.len(), wire().procedures.len());
    for example in examples {
        let mut shell = Command::new("sh");
        shell.args(["-ec", example]).env("GASTOWN_URL", server.url("")).env("GASTOWN_TOKEN", ALICE);
        shell
            .env("TOWN_ID", &town)
            .env("RIG_ID", &rig)
            .env("INTERNAL_API_KEY", "key")
            .env("CONFIG_VERSION", &version)
            .env("NO_PROXY", "*");
        let output = shell.output().await.unwrap();
        if example.contains(" -N ") {
            assert!(text(&output).contains("event: connected"), "{example}\n{}", text(&output));
            continue;
        }
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(!answer["result"]["data"].is_null(), "{example}\n{}", text(&output));
    }
}

/// Returns the validator of a described type. No member may be unknown, except in the configuration of users.
fn validator(schema: &Value) -> Validator {
    let mut schema = json!({ "$defs": wire().types, "allOf": [schema] });
    for described in schema["$defs"].as_object_mut().unwrap().values_mut() {
        let members = described.as_object_mut().unwrap();
        if members.contains_key("properties") {
            members.entry("additionalProperties").or_insert(false.into());
        }
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn valid(what: &str, validator: &Validator, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}\n{value}");
}

/// Checks a value against a described type.
fn check(what: &str, schema: &Value, value: &Value) {
    valid(what, &validator(schema), value);
}

#[tokio::test]
async fn answers_have_the_described_types() {
    let server = server().await;
    let (town, rig, version) = town_with_a_rig(&server).await;
    for procedure in wire().procedures.iter().filter(|it| !["heartbeat", "refreshToken"].contains(&&it.name[8..])) {
        let input = procedure.example.to_string().replace("$TOWN_ID", &town).replace("$RIG_ID", &rig);
        let input = input.replace("$CONFIG_VERSION", &version);
        let input: Value = serde_json::from_str(&input).unwrap();
        if let Some(schema) = &procedure.input {
            check(procedure.name, schema, &input);
        }
        let data = data_of(&server, procedure.kind.method(), procedure.name, &input).await;
        check(procedure.name, &procedure.output, &data);
    }
}

/// Checks the member `data` of an error.
pub(crate) fn check_error_data(data: &Value) {
    static ERROR: LazyLock<Validator> = LazyLock::new(|| validator(&json!({"$ref": "#/$defs/ErrorData"})));
    valid("error", &ERROR, data);
}

/// Checks the status of a town.
pub(crate) fn check_status(envelope: &Value) {
    check("status", &json!({"$ref": "#/$defs/TownStatusReport"}), &envelope["result"]["data"]);
}
