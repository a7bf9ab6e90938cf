//! Bad input names its field and reaches no operation.

use std::collections::BTreeMap;

use gastown_domain::ports::{
    AddRig, AddedRig, Caller, CreateTown, MockTowns, RemoveRig, RemovedRig, RigRemoval, TownPage, TownState, UpdateTown,
};
use gastown_domain::{Change, ConfigPatch, RigStatus, TownId};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    fake_towns::{rig, town},
    server::Server,
    world::{ALICE, call, parts, serve},
};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

/// The procedures of users, each with a valid input.
fn good_inputs() -> BTreeMap<&'static str, (Method, Value)> {
    let of_town = json!({ "townId": ID });
    let rig = json!({"townId": ID, "rigName": "app", "repoUrl": "https://github.com/a/b", "branch": "main"});
    BTreeMap::from([
        ("gastown.createTown", (Method::POST, json!({"townName": "mill", "region": "iad", "idempotencyKey": "k"}))),
        ("gastown.destroyTown", (Method::POST, json!({"townId": ID, "waitUntilGone": true}))),
        ("gastown.stopTown", (Method::POST, of_town.clone())),
        ("gastown.startTown", (Method::POST, of_town.clone())),
        ("gastown.restoreTown", (Method::POST, json!({"townId": ID, "confirm": "mill"}))),
        ("gastown.addRig", (Method::POST, rig)),
        ("gastown.removeRig", (Method::POST, json!({"townId": ID, "rigId": ID, "force": true}))),
        ("gastown.getRig", (Method::GET, json!({"townId": ID, "rigId": ID}))),
        ("gastown.watchTown", (Method::GET, of_town.clone())),
        ("gastown.getTownStatus", (Method::GET, of_town)),
        ("gastown.updateTown", (Method::POST, json!({"townId": ID, "config": {"theme": null}, "configVersion": "v1"}))),
        ("gastown.listEvents", (Method::GET, json!({"townId": ID, "cursor": ID, "limit": 200}))),
    ])
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| json!(text)).collect()
}

/// Values that every text field rejects.
fn always_bad() -> Vec<Value> {
    let mut values = texts(&["", "a\0b", "a\nb", "a\u{7f}b", "a\u{202e}b", "a\u{200b}b", "\u{feff}a"]);
    values.extend([json!("a".repeat(10_000)), json!(5), json!(true), json!([]), json!({}), Value::Null]);
    values
}

/// Bad values of each field, including `always_bad`.
fn bad_values(field: &str) -> Vec<Value> {
    let own = match field {
        "townName" | "confirm" => texts(&["-a", "a-", "A", "a b", "a_b", "ä", "../a", "-b", "--upload-pack=touch x"]),
        "townId" | "rigId" => {
            texts(&["nope", "0190a1b2c3d47e5f8a9b000000000001", "{0190a1b2-c3d4-7e5f-8a9b-000000000001}"])
        }
        "region" => texts(&["IAD", "i d", "i_d", "b-", "-b"]),
        "config" => return [json!("text"), json!(5), json!([]), Value::Null, json!({"models": 5})].into(),
        "configVersion" => texts(&["a b", "ü"]),
        "idempotencyKey" => texts(&["a b", "ü"]),
        "rigName" => texts(&["a-b", "a b", "../x", "hq", "Mayor", "-b", "--upload-pack=x", "a.b"]),
        "repoUrl" => texts(&[
            "file:///etc/passwd",
            "/etc/passwd",
            "../repo",
            "ext::sh -c touch% /tmp/x",
            "ext::sh",
            "--upload-pack=touch x",
            "-b",
            "git://github.com/a/b",
            "http://github.com/a/b",
            "https://github.com/a/$(id)",
            "https://user:password@github.com/a/b",
            "ssh://git:password@github.com/a/b",
            "https://localhost/a/b",
            "https://127.0.0.1/a/b",
            "https://10.0.0.1/a/b",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/a/b",
            "https://[fdaa:0:1::3]/a/b",
            "https://2130706433/a/b",
            "https://app.internal/a/b",
            "git@10.0.0.1:a/b",
            "ssh://-oProxyCommand=x/a/b",
            "git@-oProxyCommand=x:a/b",
            "https://github.com/a/b?x=1",
        ]),
        "branch" => texts(&["-b", "--upload-pack=x", "a..b", "a b", "a~1", "a^", "a:b", "/a", "a.lock", "@{1}"]),
        "force" | "waitUntilGone" => return vec![json!("true"), json!(1), Value::Null, json!({})],
        "cursor" => {
            return texts(&["nope", "0190a1b2c3d47e5f8a9b000000000001", ""]).into_iter().chain([json!(5)]).collect();
        }
        "limit" => return vec![json!(0), json!(201), json!(-1), json!(1.5), json!("10"), json!(true), json!({})],
        other => panic!("no bad values for the field {other}"),
    };
    own.into_iter().chain(always_bad()).collect()
}

fn without(input: &Value, field: &str) -> Value {
    let mut members = input.as_object().unwrap().clone();
    members.remove(field);
    members.into()
}

fn with(input: &Value, field: &str, value: Value) -> Value {
    let mut members = input.as_object().unwrap().clone();
    members.insert(field.to_owned(), value);
    members.into()
}

/// Sends an input that must be refused because of exactly these fields.
async fn refused_for(server: &Server, name: &str, method: &Method, input: &Value, fields: &[&str]) -> Value {
    let (status, envelope) = call(server, method.clone(), name, ALICE, input).await;
    let shown: String = input.to_string().chars().take(200).collect();
    let error = &envelope["error"];
    assert_eq!((status, &error["data"]["code"]), (400, &json!("BAD_REQUEST")), "{name} {shown}: {envelope}");
    let named: Vec<_> = error["data"]["zodError"]["fieldErrors"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(named, fields, "{name} {shown}: {envelope}");
    let issues: Vec<Map<String, Value>> = serde_json::from_str(error["message"].as_str().unwrap()).unwrap();
    for issue in &issues {
        assert!(fields.contains(&issue["path"][0].as_str().unwrap()), "{issue:?}");
        assert!(issue["code"].is_string() && issue["message"].as_str().is_some_and(|text| text.len() < 400));
    }
    envelope
}

#[tokio::test]
async fn every_bad_value_of_every_field_is_named() {
    let server = serve(parts(MockTowns::new())).await;
    for (name, (method, input)) in good_inputs() {
        for field in input.as_object().unwrap().keys() {
            for bad in bad_values(field) {
                refused_for(&server, name, &method, &with(&input, field, bad), &[field]).await;
            }
        }
    }
}

#[tokio::test]
async fn every_missing_field_is_named() {
    let server = serve(parts(MockTowns::new())).await;
    let optional = ["region", "idempotencyKey", "branch", "force", "waitUntilGone", "cursor", "limit"];
    for (name, (method, input)) in good_inputs() {
        for field in input.as_object().unwrap().keys().filter(|field| !optional.contains(&field.as_str())) {
            let envelope = refused_for(&server, name, &method, &without(&input, field), &[field]).await;
            assert_eq!(envelope["error"]["data"]["zodError"]["fieldErrors"][field], json!(["Required"]));
        }
    }
}

#[tokio::test]
async fn non_object_input_is_a_form_error() {
    let server = serve(parts(MockTowns::new())).await;
    for (name, (method, _)) in good_inputs() {
        for input in [json!(null), json!("text"), json!(5), json!([{"townId": ID}])] {
            let (status, envelope) = call(&server, method.clone(), name, ALICE, &input).await;
            let errors = &envelope["error"]["data"]["zodError"];
            assert_eq!((status, &errors["fieldErrors"]), (400, &json!({})), "{name} {input}");
            assert_eq!(errors["formErrors"].as_array().unwrap().len(), 1, "{name} {input}");
        }
    }
}

#[tokio::test]
async fn all_bad_fields_are_named_at_once() {
    let server = serve(parts(MockTowns::new())).await;
    let input = json!({
        "townId": "nope", "rigName": "", "repoUrl": "file:///x", "branch": "-b", "config": "text",
    });
    let fields = ["branch", "config", "repoUrl", "rigName", "townId"];
    let envelope = refused_for(&server, "gastown.addRig", &Method::POST, &input, &fields).await;
    let mut error = envelope["error"].clone();
    error["message"] = serde_json::from_str(error["message"].as_str().unwrap()).unwrap();
    insta::assert_json_snapshot!(error);
}

const IDLE_RANGE: &str =
    "idle_stop_minutes must be a whole number of minutes between 5 and 10080, or null for no idle stop";

#[tokio::test]
async fn bad_config_is_named() {
    let server = serve(parts(MockTowns::new())).await;
    let rig = |name: &str| json!({"rigName": name, "repoUrl": "https://github.com/a/b"});
    for (config, text) in [
        (json!("text"), "Expected object, received string"),
        (json!({"maxPolecats": -3}), "max_polecats must be a whole number between 0 and 4294967295"),
        (json!({"x": "y".repeat(32_768)}), "is too large: 32776 bytes as JSON, at most 32768 are allowed"),
        (json!({"rigs": vec![rig("app"); 51]}), "rigs has 51 entries, at most 50 are allowed"),
        (json!(null), "Expected object, received null"),
        (json!([]), "Expected object, received array"),
        (json!({"rigs": 5}), "rigs Expected array, received number"),
        (json!({"rigs": [5]}), "rigs.0 Expected object, received number"),
        (
            json!({"rigs": [rig("app"), rig("a-b")]}),
            "rigs.1.rigName contains '-', only letters, digits and '_' are allowed",
        ),
        (json!({"rigs": [rig("app"), rig("App")]}), "rigs.1.rigName is already used by another rig"),
        (json!({"rigs": [{"rigName": "app"}]}), "rigs.0.repoUrl Required"),
        (
            json!({"rigs": [{"name": "hq", "repoUrl": "https://github.com/a/b"}]}),
            "rigs.0.name \"hq\" is a reserved name",
        ),
        (json!({"models": "large"}), "models must map roles to models, or list models in order of preference"),
        (json!({"max_polecats": -1}), "max_polecats must be a whole number between 0 and 4294967295"),
        (json!({"idle_stop_minutes": 4}), IDLE_RANGE),
        (json!({"idleStopMinutes": 10_081}), IDLE_RANGE),
        (json!({"idle_stop_minutes": 7.5}), IDLE_RANGE),
        (json!({"idle_stop_minutes": "30"}), IDLE_RANGE),
        (json!({"deep": [{"key\0": 1}]}), "must not contain the character U+0000"),
    ] {
        let input = json!({"townName": "mill", "config": config});
        let envelope = refused_for(&server, "gastown.createTown", &Method::POST, &input, &["config"]).await;
        let texts = &envelope["error"]["data"]["zodError"]["fieldErrors"]["config"];
        assert_eq!(texts, &json!([text]), "{config}");
    }
}

/// Returns the town `mill` without an operation.
fn idle(caller: &Caller, id: TownId) -> TownState {
    TownState::idle(town(caller, id, CreateTown::named("mill".parse().unwrap())))
}

fn is_the_update(_: &Caller, request: &UpdateTown) -> bool {
    let other = json!({"theme": null, "kept": {"a": null}});
    let wanted = ConfigPatch {
        rigs: Some(Vec::new()),
        models: Change::Remove,
        max_polecats: Change::Set(3),
        idle_stop_minutes: Change::Remove,
        other: other.as_object().unwrap().clone(),
    };
    (request.town.to_string().as_str(), request.expected.as_str(), &request.config) == (ID, "v1", &wanted)
}

#[tokio::test]
async fn good_inputs_arrive_unchanged() {
    let mut towns = MockTowns::new();
    towns
        .expect_create_town()
        .withf(|caller, request: &CreateTown| {
            let config = serde_json::to_value(&request.config).unwrap();
            caller.user().as_str() == "alice"
                && request.name.as_str() == "mill"
                && request.region.as_ref().is_some_and(|region| region.as_str() == "fra")
                && request.key.as_ref().is_some_and(|key| key.as_str() == "once")
                && config
                    == json!({
                        "rigs": [{"rigName": "app", "repoUrl": "git@github.com:a/b"}],
                        "models": {"mayor": "large"}, "max_polecats": 3, "idle_stop_minutes": 30,
                        "unknown": {"kept": [1, null]},
                    })
        })
        .times(1)
        .returning(|caller, request| Ok(TownState::idle(town(caller, ID.parse().unwrap(), request))));
    towns
        .expect_add_rig()
        .withf(|caller, request: &AddRig| {
            caller.user().as_str() == "alice"
                && request.town.to_string() == ID
                && (request.name.as_str(), &request.branch) == ("app", &None)
                && Value::Object(request.config.clone()) == json!({"depth": 1})
        })
        .times(1)
        .returning(|caller, request| {
            let rig = rig(request.town, RigStatus::Pending);
            Ok(AddedRig { rig, town: idle(caller, request.town), idle_stop: None })
        });
    let wanted = RemoveRig { town: ID.parse().unwrap(), rig: ID.parse().unwrap(), force: true };
    towns
        .expect_remove_rig()
        .withf(move |caller, request| caller.user().as_str() == "alice" && *request == wanted)
        .times(1)
        .returning(|caller, request| Ok(RemovedRig { removal: RigRemoval::Pending, town: idle(caller, request.town) }));
    towns
        .expect_stop_town()
        .withf(|caller, town: &TownId| caller.user().as_str() == "alice" && town.to_string() == ID)
        .times(1)
        .returning(|caller, id| Ok(idle(caller, id)));
    towns
        .expect_update_town()
        .times(1)
        .withf(is_the_update)
        .returning(|caller, request| Ok(idle(caller, request.town)));
    let server = serve(parts(towns)).await;
    for (name, input) in [
        (
            "createTown",
            json!({
                "townName": "mill", "region": "fra", "idempotencyKey": "once", "dropped": 1,
                "config": {
                    "rigs": [{"name": "app", "repo_url": "git@github.com:a/b"}],
                    "models": {"mayor": "large"}, "max_polecats": 3, "idleStopMinutes": 30,
                    "unknown": {"kept": [1, null]},
                },
            }),
        ),
        (
            "addRig",
            json!({"townId": ID, "rigName": "app", "repoUrl": "https://github.com/a/b", "config": {"depth": 1}}),
        ),
        ("removeRig", json!({"townId": ID, "rigId": ID, "force": true})),
        ("stopTown", json!({"townId": ID, "dropped": 1})),
        (
            "updateTown",
            json!({
                "townId": ID, "configVersion": "v1",
                "config": {"models": null, "maxPolecats": 3, "idle_stop_minutes": null, "rigs": [], "theme": null, "kept": {"a": null}},
            }),
        ),
    ] {
        let (status, envelope) = call(&server, Method::POST, &format!("gastown.{name}"), ALICE, &input).await;
        assert_eq!(status, 200, "{name}: {envelope}");
    }
}

#[tokio::test]
async fn input_of_the_list_is_optional_and_checked() {
    let mut towns = MockTowns::new();
    let whole = TownPage::default();
    towns.expect_list_towns().withf(move |_, page| *page == whole).times(6).returning(|_, _| Ok(vec![]));
    let second = TownPage { after: Some(ID.parse().unwrap()), limit: Some(2) };
    towns.expect_list_towns().withf(move |_, page| *page == second).times(1).returning(|_, _| Ok(vec![]));
    let server = serve(parts(towns)).await;
    let (list, method) = ("gastown.listTowns", Method::GET);
    // Once there was no input, and what clients sent was not read.
    for input in [json!(null), json!("text"), json!([1]), json!({}), json!({"x": 1}), json!({"cursor": null})] {
        let (status, envelope) = call(&server, method.clone(), list, ALICE, &input).await;
        assert_eq!(status, 200, "{input}: {envelope}");
    }
    let (status, _) = call(&server, method.clone(), list, ALICE, &json!({"cursor": ID, "limit": 2})).await;
    assert_eq!(status, 200);
    for (field, bad) in [
        ("cursor", json!("nope")),
        ("cursor", json!(5)),
        ("limit", json!(0)),
        ("limit", json!(101)),
        ("limit", json!(1.5)),
        ("limit", json!("2")),
    ] {
        let envelope = refused_for(&server, list, &method, &json!({ field: bad }), &[field]).await;
        assert_eq!(envelope["error"]["data"]["issues"][0]["path"], json!([field]));
    }
}

#[tokio::test]
async fn position_of_a_watcher_is_a_text() {
    let server = serve(parts(MockTowns::new())).await;
    for (procedure, input) in [("gastown.watchTown", json!({ "townId": ID })), ("gastown.watchTowns", json!({}))] {
        for bad in [json!(5), json!(true), json!([]), json!({}), Value::Null] {
            let mut input = input.clone();
            input["lastEventId"] = bad;
            let (status, answer) = call(&server, Method::GET, procedure, ALICE, &input).await;
            assert_eq!((status, &answer["error"]["data"]["code"]), (400, &json!("BAD_REQUEST")), "{procedure} {input}");
            let fields = &answer["error"]["data"]["zodError"]["fieldErrors"];
            let message = fields["lastEventId"][0].as_str().unwrap_or_default();
            assert!(message.starts_with("Expected string, received"), "{procedure} {input}: {answer}");
        }
    }
}
