//! Bad input names its field and changes nothing. The tests of the adapter cover every value of every field. These cover
//! the whole control plane.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{ALICE, Setup, Stage};

on_both! {
    bad_input_names_its_field_and_changes_nothing,
    all_bad_fields_are_named_at_once,
}

/// Values that every text field rejects.
fn always_bad() -> Vec<Value> {
    let texts = ["", "a\0b", "a\nb", "a\u{202e}b", "a\u{200b}b", "\u{feff}a", "--upload-pack=touch x"];
    let mut values: Vec<_> = texts.into_iter().map(Value::from).collect();
    values.extend([json!("a".repeat(10_000)), json!(5), json!(true), json!([]), json!({}), Value::Null]);
    values
}

/// Further bad values of a field.
fn bad_values(field: &str) -> &'static [&'static str] {
    match field {
        "townName" => &["-b", "A", "a_b", "a b", "a-", "../a", "ä"],
        "townId" | "rigId" => &["-b", "nope", "0190a1b2c3d44e5f8a9b000000000001"],
        "rigName" => &["-b", "a-b", "a.b", "../x", "hq", "Mayor"],
        "repoUrl" => &[
            "-b",
            "file:///etc/passwd",
            "/etc/passwd",
            "ext::sh -c touch% x",
            "git://github.com/a/b",
            "https://github.com/a/$(id)",
            "https://user:password@github.com/a/b",
            "https://localhost/a/b",
            "https://127.0.0.1/a/b",
            "https://10.0.0.1/a/b",
            "https://169.254.169.254/latest",
            "https://[::1]/a/b",
            "https://app.internal/a/b",
            "git@192.168.0.1:a/b",
        ],
        "branch" => &["-b", "a..b", "a b", "@{1}", "/a", "a.lock"],
        "region" => &["-b", "IAD", "iads"],
        "idempotencyKey" => &["a b"],
        other => panic!("no bad values for {other}"),
    }
}

async fn bad_input_names_its_field_and_changes_nothing(mut setup: Setup) -> Stage {
    // No sweep calls the sandbox.
    setup.policy.backoff.sweep_every = Duration::from_secs(60 * 60);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap()["rigId"].clone();
    let before = stage.rows.everything().await;
    let calls = stage.sim.calls().len();
    let of_town = json!({ "townId": town.id });
    let good = [
        ("createTown", json!({"townName": "inn", "region": "iad", "idempotencyKey": "k"})),
        ("destroyTown", of_town.clone()),
        ("stopTown", of_town.clone()),
        ("startTown", of_town.clone()),
        ("getTownStatus", of_town),
        ("addRig", json!({"townId": town.id, "rigName": "b", "repoUrl": "https://github.com/a/b", "branch": "main"})),
        ("removeRig", json!({"townId": town.id, "rigId": rig})),
    ];
    let optional = ["region", "idempotencyKey", "branch"];
    for (procedure, input) in good {
        for field in input.as_object().unwrap().keys() {
            let bad = always_bad().into_iter().chain(bad_values(field).iter().map(|text| json!(text)));
            let mut inputs: Vec<_> = bad
                .map(|bad| {
                    let mut input = input.clone();
                    input[field] = bad;
                    input
                })
                .collect();
            if !optional.contains(&field.as_str()) {
                let mut missing = input.clone();
                missing.as_object_mut().unwrap().remove(field);
                inputs.push(missing);
            }
            for input in inputs {
                let shown: String = input.to_string().chars().take(200).collect();
                let answer = stage.call(ALICE, procedure, input).await;
                let refused = answer.expect_err(&shown);
                assert_eq!((refused.code.as_str(), refused.status), ("BAD_REQUEST", 400), "{procedure} {shown}");
                let named = refused.data["zodError"]["fieldErrors"].as_object().unwrap();
                assert_eq!(named.keys().collect::<Vec<_>>(), [field], "{procedure} {shown}");
            }
        }
    }
    assert_eq!(stage.rows.everything().await, before);
    assert_eq!(stage.sim.calls().len(), calls, "Fly or a sandbox was called");
    stage
}

async fn all_bad_fields_are_named_at_once(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let input = json!({"townId": "nope", "rigName": "", "repoUrl": "file:///x", "branch": "-b", "config": "text"});
    let refused = stage.call(ALICE, "addRig", input).await.unwrap_err();
    let named: Vec<_> = refused.data["zodError"]["fieldErrors"].as_object().unwrap().keys().collect();
    assert_eq!(named, ["branch", "config", "repoUrl", "rigName", "townId"]);
    let refused = stage.call(ALICE, "createTown", json!("text")).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["zodError"]["fieldErrors"]), ("BAD_REQUEST", &json!({})));
    stage
}
