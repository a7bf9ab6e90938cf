//! Every failure of an operation, with the code and the text that its caller receives.

use std::{collections::BTreeSet, time::Duration};

use gastown_domain::{
    ConfigRefusal, Failure, OperationKind,
    ports::{MockTowns, StoreError, TownError},
};
use http::Method;
use serde_json::{Value, json};

use crate::world::{ALICE, call, parts, serve};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

/// Returns the variant's name. The match is exhaustive, so that a new variant needs a case below.
fn variant(error: &TownError) -> &'static str {
    match error {
        TownError::NotFound => "NotFound",
        TownError::RigNotFound => "RigNotFound",
        TownError::NameTaken => "NameTaken",
        TownError::RigNameTaken => "RigNameTaken",
        TownError::TooManyTowns { .. } => "TooManyTowns",
        TownError::TooManyRigs { .. } => "TooManyRigs",
        TownError::TooManyOperations { .. } => "TooManyOperations",
        TownError::TooManyChanges { .. } => "TooManyChanges",
        TownError::KeyReused => "KeyReused",
        TownError::InFlight { .. } => "InFlight",
        TownError::RigRefused { .. } => "RigRefused",
        TownError::RigInUse { .. } => "RigInUse",
        TownError::ConfigChanged => "ConfigChanged",
        TownError::ConfigRefused(_) => "ConfigRefused",
        TownError::RegionNotOffered => "RegionNotOffered",
        TownError::Failed { .. } => "Failed",
        TownError::UserUnknown => "UserUnknown",
        TownError::Blocked => "Blocked",
        TownError::Unauthorized => "Unauthorized",
        TownError::Store(_) => "Store",
    }
}

const VARIANTS: usize = 20;

type Make = Box<dyn Fn() -> TownError + Send + Sync>;

fn cases() -> Vec<Make> {
    let corrupt = || StoreError::CorruptRow { table: "t", column: "c", id: "canary".into(), cause: "canary".into() };
    let refused = || StoreError::Refused { constraint: Some("canary".into()), cause: "canary".into() };
    let contention = || StoreError::Contention { transaction: "canary", cause: "canary".into() };
    let mut cases: Vec<Make> = vec![
        Box::new(|| TownError::NotFound),
        Box::new(|| TownError::RigNotFound),
        Box::new(|| TownError::NameTaken),
        Box::new(|| TownError::RigNameTaken),
        Box::new(|| TownError::TooManyTowns { limit: 50 }),
        Box::new(|| TownError::TooManyRigs { limit: 100 }),
        Box::new(|| TownError::TooManyOperations { limit: 20 }),
        Box::new(|| TownError::TooManyChanges { limit: 120, retry_after: Duration::from_millis(400) }),
        Box::new(|| TownError::KeyReused),
        Box::new(|| TownError::RigRefused { reason: "the branch does not exist".into() }),
        Box::new(|| TownError::RigInUse {
            in_the_way: vec!["2 uncommitted changes".into(), "a running worker".into()],
        }),
        Box::new(|| TownError::ConfigChanged),
        Box::new(|| TownError::ConfigRefused(ConfigRefusal::FirstRigs)),
        Box::new(|| TownError::ConfigRefused(ConfigRefusal::TooLarge)),
        Box::new(|| TownError::RegionNotOffered),
        Box::new(|| TownError::UserUnknown),
        Box::new(|| TownError::Blocked),
        Box::new(|| TownError::Unauthorized),
        Box::new(|| TownError::Store(StoreError::TownNameTaken)),
        Box::new(|| TownError::Store(StoreError::RigNameTaken)),
        Box::new(|| TownError::Store(StoreError::TooManyTowns { limit: 50 })),
        Box::new(|| TownError::Store(StoreError::TooManyRigs { limit: 100 })),
        Box::new(|| TownError::Store(StoreError::TooManyOperations { limit: 20 })),
        Box::new(|| TownError::Store(StoreError::KeyReused)),
        Box::new(|| TownError::Store(StoreError::TownNotFound)),
        Box::new(|| TownError::Store(StoreError::UserUnknown)),
        Box::new(|| TownError::Store(StoreError::Unauthorized)),
        Box::new(|| TownError::Store(StoreError::Unavailable { cause: "canary".into() })),
        Box::new(move || TownError::Store(contention())),
        Box::new(|| TownError::Store(StoreError::Fenced { town: ID.parse().unwrap() })),
        Box::new(move || TownError::Store(corrupt())),
        Box::new(move || TownError::Store(refused())),
    ];
    for kind in OperationKind::ALL {
        cases.push(Box::new(move || TownError::InFlight { kind: kind.into() }));
    }
    for failure in Failure::ALL {
        cases.push(Box::new(move || TownError::Failed { kind: OperationKind::Create, failure }));
    }
    for kind in OperationKind::ALL {
        cases.push(Box::new(move || TownError::Failed { kind, failure: Failure::Throttled }));
    }
    cases
}

#[tokio::test]
async fn every_failure_has_a_code_and_a_text() {
    let mut table = Vec::new();
    let mut seen = BTreeSet::new();
    for make in cases() {
        seen.insert(variant(&make()));
        let what = format!("{:?}", make());
        let mut towns = MockTowns::new();
        towns.expect_start_town().times(1).returning(move |_, _| Err(make()));
        let server = serve(parts(towns)).await;
        let (status, envelope) =
            call(&server, Method::POST, "gastown.startTown", ALICE, &json!({ "townId": ID })).await;
        crate::wire_reference::check_error(&envelope);
        let error = &envelope["error"];
        let mut data = error["data"].clone();
        assert_eq!(data["httpStatus"], status, "{what}");
        assert_eq!(data["path"], "gastown.startTown", "{what}");
        let code = data["code"].as_str().unwrap().to_owned();
        for known in ["httpStatus", "path", "code"] {
            data.as_object_mut().unwrap().remove(known);
        }
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !envelope.to_string().contains("canary"), "{what}: {envelope}");
        table.push(format!("{what}\n    {status} {code}: {}\n    {data}", message.replace('\n', " ")));
    }
    assert_eq!(seen.len(), VARIANTS, "{seen:?}");
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn every_operation_returns_its_failure() {
    let mut towns = MockTowns::new();
    towns.expect_create_town().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_destroy_town().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_stop_town().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_start_town().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_add_rig().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_remove_rig().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_update_town().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_rig().times(1).returning(|_, _, _| Err(TownError::NameTaken));
    towns.expect_town_status().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_list_towns().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_town_events().times(1).returning(|_, _| Err(TownError::NameTaken));
    towns.expect_watch_town().times(1).returning(|_, _, _| Err(TownError::NameTaken));
    towns.expect_regions().times(1).returning(|_| Err(TownError::NameTaken));
    let server = serve(parts(towns)).await;
    let input = json!({
        "townName": "mill", "townId": ID, "rigId": ID, "rigName": "app", "repoUrl": "https://github.com/a/b",
        "config": {}, "configVersion": "v",
    });
    for (method, name) in [
        (Method::POST, "gastown.createTown"),
        (Method::POST, "gastown.destroyTown"),
        (Method::POST, "gastown.stopTown"),
        (Method::POST, "gastown.startTown"),
        (Method::POST, "gastown.addRig"),
        (Method::POST, "gastown.removeRig"),
        (Method::POST, "gastown.updateTown"),
        (Method::GET, "gastown.getRig"),
        (Method::GET, "gastown.getTownStatus"),
        (Method::GET, "gastown.listTowns"),
        (Method::GET, "gastown.listEvents"),
        (Method::GET, "gastown.watchTown"),
        (Method::GET, "gastown.listRegions"),
    ] {
        let (status, envelope) = call(&server, method, name, ALICE, &input).await;
        let data = json!({"code": "CONFLICT", "reason": "town_name_taken", "httpStatus": 409, "path": name});
        assert_eq!((status, &envelope["error"]["data"]), (409, &data), "{name}");
        assert_eq!(envelope["error"]["message"], Value::from("A town with this name already exists"));
    }
}
