//! Every failure of an operation, with the code and the text that its caller receives.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gastown_domain::{
    ConfigRefusal, Failure, OperationKind,
    ports::{MockTowns, RestoreRefusal, StoreError, TownError},
};
use http::Method;
use serde_json::{Value, json};

use crate::world::{ALICE, call, parts, serve};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

/// Returns the variant's name, and a procedure that may be refused so. The match is exhaustive, so that a new variant needs
/// a case below.
fn variant(error: &TownError) -> (&'static str, &'static str) {
    match error {
        TownError::NotFound => ("NotFound", "startTown"),
        TownError::RigNotFound => ("RigNotFound", "getRig"),
        TownError::NameTaken => ("NameTaken", "createTown"),
        TownError::RigNameTaken => ("RigNameTaken", "addRig"),
        TownError::TooManyTowns { .. } => ("TooManyTowns", "createTown"),
        TownError::TooManyRigs { .. } => ("TooManyRigs", "addRig"),
        TownError::TooManyOperations { .. } => ("TooManyOperations", "startTown"),
        TownError::TooManyChanges { .. } => ("TooManyChanges", "updateTown"),
        TownError::KeyReused => ("KeyReused", "createTown"),
        TownError::InFlight { .. } => ("InFlight", "startTown"),
        TownError::RigRefused { .. } => ("RigRefused", "addRig"),
        TownError::RigInUse { .. } => ("RigInUse", "removeRig"),
        TownError::ConfigChanged => ("ConfigChanged", "updateTown"),
        TownError::ConfigRefused(_) => ("ConfigRefused", "updateTown"),
        TownError::RegionNotOffered => ("RegionNotOffered", "createTown"),
        TownError::NotConfirmed => ("NotConfirmed", "restoreTown"),
        TownError::NotRestorable(_) => ("NotRestorable", "restoreTown"),
        TownError::Failed { .. } => ("Failed", "startTown"),
        TownError::UserUnknown => ("UserUnknown", "startTown"),
        TownError::Blocked => ("Blocked", "startTown"),
        TownError::Unauthorized => ("Unauthorized", "startTown"),
        TownError::Store(StoreError::RigNameTaken | StoreError::TooManyRigs { .. }) => ("Store", "addRig"),
        TownError::Store(StoreError::TownNotFound) => ("Store", "startTown"),
        TownError::Store(_) => ("Store", "createTown"),
    }
}

const VARIANTS: usize = 22;

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
        Box::new(|| TownError::NotConfirmed),
        Box::new(|| TownError::NotRestorable(RestoreRefusal::VolumeNotLost)),
        Box::new(|| TownError::NotRestorable(RestoreRefusal::NeverSaved)),
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

/// Returns operations that all fail with this error.
pub(crate) fn failing(make: impl Fn() -> TownError + Send + Sync + 'static) -> MockTowns {
    let make = Arc::new(make);
    macro_rules! each {
        ($($method:ident($($argument:pat_param),+);)+) => {{
            let mut towns = MockTowns::new();
            $(
                let fails = Arc::clone(&make);
                towns.$method().returning(move |$($argument),+| Err(fails()));
            )+
            towns
        }};
    }
    each! {
        expect_create_town(_, _);
        expect_destroy_town(_, _);
        expect_stop_town(_, _);
        expect_start_town(_, _);
        expect_restore_town(_, _);
        expect_add_rig(_, _);
        expect_remove_rig(_, _);
        expect_update_town(_, _);
        expect_rig(_, _, _);
        expect_town_status(_, _);
        expect_list_towns(_, _);
        expect_town_events(_, _);
        expect_watch_town(_, _, _);
        expect_watch_towns(_, _);
        expect_regions(_);
    }
}

/// Returns an input that is valid for all of them.
pub(crate) fn valid_input() -> Value {
    json!({
        "townName": "mill", "townId": ID, "rigId": ID, "rigName": "app", "repoUrl": "https://github.com/a/b",
        "config": {}, "configVersion": "v", "confirm": "mill",
    })
}

#[tokio::test]
async fn every_failure_has_a_code_and_a_text() {
    let mut table = Vec::new();
    let mut seen = BTreeSet::new();
    for make in cases() {
        let (name, procedure) = variant(&make());
        seen.insert(name);
        let what = format!("{:?}", make());
        let server = serve(parts(failing(make))).await;
        let path = format!("gastown.{procedure}");
        let method = if procedure == "getRig" { Method::GET } else { Method::POST };
        let (status, envelope) = call(&server, method, &path, ALICE, &valid_input()).await;
        let error = &envelope["error"];
        let mut data = error["data"].clone();
        assert_eq!(data["httpStatus"], status, "{what}");
        assert_eq!(data["path"], path, "{what}");
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
    let server = serve(parts(failing(|| TownError::Store(StoreError::Unavailable { cause: "gone".into() })))).await;
    for (method, name) in [
        (Method::POST, "gastown.createTown"),
        (Method::POST, "gastown.destroyTown"),
        (Method::POST, "gastown.stopTown"),
        (Method::POST, "gastown.startTown"),
        (Method::POST, "gastown.restoreTown"),
        (Method::POST, "gastown.addRig"),
        (Method::POST, "gastown.removeRig"),
        (Method::POST, "gastown.updateTown"),
        (Method::GET, "gastown.getRig"),
        (Method::GET, "gastown.getTownStatus"),
        (Method::GET, "gastown.listTowns"),
        (Method::GET, "gastown.listEvents"),
        (Method::GET, "gastown.watchTown"),
        (Method::GET, "gastown.watchTowns"),
        (Method::GET, "gastown.listRegions"),
    ] {
        let (status, envelope) = call(&server, method, name, ALICE, &valid_input()).await;
        let data = json!({
            "code": "SERVICE_UNAVAILABLE", "reason": "unavailable", "httpStatus": 503, "path": name, "retryAfter": 2,
        });
        assert_eq!((status, &envelope["error"]["data"]), (503, &data), "{name}");
        assert_eq!(envelope["error"]["message"], "The service is temporarily unavailable; try again later");
    }
}
