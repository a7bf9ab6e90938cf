//! Towns of other users are not found, by any procedure.

use gastown_domain::ports::MockTowns;
use gastown_http::{procedures, trpc::Kind};
use http::Method;
use serde_json::{Value, json};

use crate::{
    fake_towns::FakeTowns,
    server::Server,
    world::{ALICE, BOB, call, parts, serve},
};

/// The procedures without a user's town in the input.
const WITHOUT_A_TOWN: [&str; 6] = [
    "gastown.createTown",
    "gastown.listTowns",
    "gastown.watchTowns",
    "gastown.listRegions",
    "gastown.heartbeat",
    "gastown.refreshToken",
];

async fn data_of(server: &Server, name: &str, input: Value) -> Value {
    let (status, envelope) = call(server, Method::POST, name, ALICE, &input).await;
    assert_eq!(status, 200, "{envelope}");
    envelope["result"]["data"].clone()
}

#[tokio::test]
async fn no_procedure_finds_another_users_town() {
    let server = serve(parts(FakeTowns::default())).await;
    let town = data_of(&server, "gastown.createTown", json!({"townName": "mill"})).await["townId"].clone();
    let repo = "https://github.com/a/b";
    let rig = json!({"townId": town, "rigName": "app", "repoUrl": repo});
    let rig = data_of(&server, "gastown.addRig", rig).await["rigId"].clone();
    let input = json!({
        "townId": town, "rigId": rig, "rigName": "other", "repoUrl": repo, "config": {}, "configVersion": "v",
        "confirm": "mill",
    });
    let list = procedures(&parts(MockTowns::new()));
    let mut asked = 0;
    for (name, kind) in list.procedures().filter(|(name, _)| !WITHOUT_A_TOWN.contains(name)) {
        let (status, envelope) = call(&server, kind.method(), name, BOB, &input).await;
        let data = json!({"code": "NOT_FOUND", "reason": "town_not_found", "httpStatus": 404, "path": name});
        let error = json!({"message": "Town not found", "code": -32004, "data": data});
        assert_eq!((status, envelope), (404, json!({ "error": error })));
        asked += 1;
    }
    assert!(asked >= 6, "{asked}");

    let (_, bobs) = call(&server, Kind::Query.method(), "gastown.listTowns", BOB, &Value::Null).await;
    assert_eq!(bobs, json!({"result": {"data": []}}));
    let (_, bobs) = call(&server, Kind::Query.method(), "gastown.watchTowns", BOB, &json!({})).await;
    assert_eq!(bobs["result"]["data"], json!({"isWhole": true, "towns": [], "gone": []}));
    let (_, own) = call(&server, Method::GET, "gastown.getTownStatus", ALICE, &input).await;
    let seen = &own["result"]["data"];
    assert_eq!((&seen["status"], &seen["rigs"][0]["rigId"]), (&json!("running"), &rig));
}
