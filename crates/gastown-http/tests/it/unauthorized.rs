//! Unauthenticated callers are rejected by every procedure. The tests iterate over the list of procedures, which includes
//! new ones.

use gastown_domain::ports::{Caller, MockHomeCalls, MockTowns, StoreError, TownError};
use gastown_http::{procedures, trpc::Kind};
use http::Method;
use serde_json::{Value, json};

use crate::{
    server::{Server, client},
    world::{ALICE, REFUSED, answer, call, parts, parts_with, serve},
};

/// Returns every procedure with its method. The mocks behind it fail the test when they are called.
fn everything() -> Vec<(&'static str, Method)> {
    procedures(&parts(MockTowns::new())).procedures().map(|(name, kind)| (name, kind.method())).collect()
}

fn for_sandboxes(name: &str) -> bool {
    ["gastown.heartbeat", "gastown.refreshToken"].contains(&name)
}

async fn closed() -> Server {
    serve(parts_with(MockTowns::new(), MockHomeCalls::new())).await
}

/// Returns an input that is valid for all of them.
fn input() -> Value {
    let id = "0190a1b2-c3d4-7e5f-8a9b-000000000001";
    json!({
        "townName": "mill", "townId": id, "rigId": id, "rigName": "app", "repoUrl": "https://github.com/a/b",
        "config": {}, "configVersion": "v", "confirm": "mill",
    })
}

fn assert_unauthorized(name: &str, case: &str, status: u16, envelope: &Value) {
    let error = &envelope["error"];
    let reason = if for_sandboxes(name) { "invalid_key" } else { "invalid_token" };
    let data = json!({"code": "UNAUTHORIZED", "reason": reason, "httpStatus": 401, "path": name});
    assert_eq!((status, &error["code"], &error["data"]), (401, &json!(-32001), &data), "{name}, {case}: {envelope}");
    let message =
        if for_sandboxes(name) { "Missing or invalid internal API key" } else { "Missing or invalid bearer token" };
    assert_eq!(error["message"], message, "{name}, {case}");
}

#[tokio::test]
async fn missing_token_is_rejected_everywhere() {
    let server = closed().await;
    for (name, method) in everything() {
        for input in [input(), json!({}), Value::Null] {
            let (status, envelope) = call(&server, method.clone(), name, "", &input).await;
            assert_unauthorized(name, "no token", status, &envelope);
        }
    }
}

#[tokio::test]
async fn bad_tokens_are_rejected_everywhere() {
    let server = closed().await;
    for (name, method) in everything() {
        for (token, rejection) in REFUSED {
            let (status, envelope) = call(&server, method.clone(), name, token, &input()).await;
            assert_unauthorized(name, &format!("{token}: {rejection}"), status, &envelope);
        }
    }
}

#[tokio::test]
async fn sandbox_key_is_rejected_by_procedures_of_users() {
    let server = closed().await;
    for (name, method) in everything().into_iter().filter(|(name, _)| !for_sandboxes(name)) {
        let mut request = client().request(method.clone(), server.url(&format!("/trpc/{name}")));
        request = request.header("x-internal-api-key", "a town's key");
        if method == Method::POST {
            request = request.header("content-type", "application/json").body(input().to_string());
        }
        let (status, envelope) = answer(request).await;
        assert_unauthorized(name, "key of a sandbox", status, &envelope);
    }
}

#[tokio::test]
async fn user_token_is_rejected_by_procedures_of_sandboxes() {
    let server = closed().await;
    for (name, method) in everything().into_iter().filter(|(name, _)| for_sandboxes(name)) {
        let (status, envelope) = call(&server, method, name, ALICE, &input()).await;
        assert_unauthorized(name, "token of a user", status, &envelope);
    }
}

#[tokio::test]
async fn batch_without_a_token_is_rejected_call_by_call() {
    let server = closed().await;
    for kind in [Kind::Query, Kind::Mutation] {
        let list = procedures(&parts(MockTowns::new()));
        let names: Vec<_> = list.procedures().filter(|(_, known)| *known == kind).map(|(name, _)| name).collect();
        let url = server.url(&format!("/trpc/{}?batch=1", names.join(",")));
        let mut request = client().request(kind.method(), url);
        if kind == Kind::Mutation {
            request = request.header("content-type", "application/json").body("{");
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        let envelopes: Vec<Value> = response.json().await.unwrap();
        for (name, envelope) in names.iter().zip(&envelopes) {
            assert_unauthorized(name, "batch", 401, envelope);
        }
        assert_eq!(envelopes.len(), names.len());
    }
}

/// Returns operations that refuse alice's token, as after a change of her pepper.
fn refusing() -> MockTowns {
    const fn refused<T>() -> Result<T, TownError> {
        Err(TownError::Unauthorized)
    }
    fn is_alice(caller: &Caller) -> bool {
        let pepper = "pepper of alice".into();
        matches!(caller, Caller::Token(token) if token.user.as_str() == "alice" && token.has_pepper(Some(&pepper)))
    }
    let mut towns = MockTowns::new();
    towns.expect_create_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_destroy_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_stop_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_start_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_restore_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_add_rig().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_remove_rig().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_update_town().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_town_status().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_rig().withf(|caller, _, _| is_alice(caller)).times(1).returning(|_, _, _| refused());
    towns.expect_list_towns().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_town_events().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_watch_town().withf(|caller, _, _| is_alice(caller)).times(1).returning(|_, _, _| refused());
    towns.expect_watch_towns().withf(|caller, _| is_alice(caller)).times(1).returning(|_, _| refused());
    towns.expect_regions().withf(is_alice).times(1).returning(|_| refused());
    towns
}

#[tokio::test]
async fn revoked_token_gets_the_answer_of_a_bad_token() {
    let server = serve(parts(refusing())).await;
    for (name, method) in everything().into_iter().filter(|(name, _)| !for_sandboxes(name)) {
        let (status, envelope) = call(&server, method, name, ALICE, &input()).await;
        assert_unauthorized(name, "revoked", status, &envelope);
    }
}

#[tokio::test]
async fn unavailable_database_is_not_a_wrong_token() {
    let mut towns = MockTowns::new();
    let unavailable = || TownError::Store(StoreError::Unavailable { cause: "secret connection string".into() });
    towns.expect_list_towns().returning(move |_, _| Err(unavailable()));
    let server = serve(parts(towns)).await;
    let (status, envelope) = call(&server, Method::GET, "gastown.listTowns", ALICE, &Value::Null).await;
    assert_eq!((status, &envelope["error"]["data"]["code"]), (503, &json!("SERVICE_UNAVAILABLE")));
    assert!(!envelope.to_string().contains("secret"), "{envelope}");
}
