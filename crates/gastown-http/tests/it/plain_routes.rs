//! The calls of sandboxes as plain routes: the same answers without an envelope.

use std::time::Duration;

use gastown_domain::{
    TownId,
    ports::{GatewayToken, HomeError, MockHomeCalls, MockTowns},
};
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    fake_towns::moment,
    server::{Server, client},
    world::{parts_with, serve},
};

const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";
const HEARTBEAT: &str = "/api/gastown/heartbeat";
const REFRESH: &str = "/api/gastown/refresh-token";

fn town() -> TownId {
    TOWN.parse().unwrap()
}

/// Returns the status and the body. They have no envelope, which the other tests check.
async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn post(server: &Server, path: &str, input: &Value) -> (u16, Value) {
    let request = client().post(server.url(path)).header("x-internal-api-key", "the key");
    answer(request.header("content-type", "application/json").body(input.to_string())).await
}

#[tokio::test]
async fn plain_heartbeat_is_that_of_the_protocol_without_its_envelope() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat()
        .withf(|id, key, report, _| {
            *id == town() && key.expose_secret() == "the key" && report.active_polecats == Some(2)
        })
        .times(1)
        .returning(|_, _, _, _| Ok(()));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let got = post(&server, HEARTBEAT, &json!({"townId": TOWN, "activePolecats": 2})).await;
    assert_eq!(got, (200, json!({"townId": TOWN, "recorded": true})));
}

#[tokio::test]
async fn plain_request_for_a_token_is_answered_with_it() {
    let mut home = MockHomeCalls::new();
    home.expect_refresh_token()
        .times(1)
        .returning(|_, _| Ok(GatewayToken { token: "fresh".into(), expires_at: moment() }));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let got = post(&server, REFRESH, &json!({"townId": TOWN})).await;
    assert_eq!(got, (200, json!({"token": "fresh", "expiresAt": "2026-02-03T04:05:06.789Z"})));
}

#[tokio::test]
async fn errors_have_the_names_of_the_protocol_and_its_headers() {
    let mut home = MockHomeCalls::new();
    home.expect_heartbeat()
        .returning(|_, _, _, _| Err(HomeError::TooManyCalls { retry_after: Duration::from_secs(7) }));
    home.expect_refresh_token().returning(|_, _| Err(HomeError::Unauthorized));
    let server = serve(parts_with(MockTowns::new(), home)).await;
    let (status, refused) = post(&server, HEARTBEAT, &json!({"townId": TOWN})).await;
    let want = json!({
        "message": "Too many calls of this sandbox; call less often", "code": "TOO_MANY_REQUESTS",
        "reason": "too_many_calls", "httpStatus": 429, "retryAfter": 7,
    });
    assert_eq!((status, &refused["error"]), (429, &want));
    let (status, refused) = post(&server, REFRESH, &json!({"townId": TOWN})).await;
    assert_eq!((status, &refused["error"]["reason"]), (401, &json!("invalid_key")));
    let (status, refused) = post(&server, HEARTBEAT, &json!({"townId": TOWN, "activePolecats": -1})).await;
    assert_eq!((status, &refused["error"]["reason"]), (400, &json!("invalid_input")));
    assert!(refused["error"]["zodError"]["fieldErrors"]["activePolecats"].is_array(), "{refused}");
}

#[tokio::test]
async fn plain_routes_have_the_checks_of_the_protocol() {
    let server = serve(parts_with(MockTowns::new(), MockHomeCalls::new())).await;
    for path in [HEARTBEAT, REFRESH] {
        let request = |method: Method, content_type: &str, body: String| {
            let request = client().request(method, server.url(path)).header("content-type", content_type);
            request.body(body)
        };
        let input = json!({"townId": TOWN}).to_string();
        let (status, refused) = answer(request(Method::POST, "application/json", input.clone())).await;
        assert_eq!((status, &refused["error"]["reason"]), (401, &json!("invalid_key")), "without a key");
        let (status, refused) = answer(request(Method::POST, "text/plain", input.clone())).await;
        assert_eq!((status, &refused["error"]["reason"]), (415, &json!("wrong_content_type")));
        let (status, refused) = answer(request(Method::GET, "application/json", String::new())).await;
        assert_eq!((status, &refused["error"]["reason"]), (405, &json!("wrong_method")));
        for method in [Method::OPTIONS, Method::PUT] {
            let response = client().request(method, server.url(path)).send().await.unwrap();
            assert_eq!(
                (response.status().as_u16(), response.headers()["allow"].as_bytes()),
                (405, &b"POST"[..]),
                "without a body"
            );
            assert_eq!(response.json::<Value>().await.unwrap()["error"]["reason"], "wrong_method");
        }
        let large = json!({"townId": TOWN, "more": "x".repeat(20_000)}).to_string();
        let keyed = request(Method::POST, "application/json", large).header("x-internal-api-key", "the key");
        let (status, refused) = answer(keyed).await;
        assert_eq!((status, &refused["error"]["reason"]), (413, &json!("body_too_large")));
    }
}

#[tokio::test]
async fn unknown_plain_routes_have_an_error_of_the_same_form() {
    let server = serve(parts_with(MockTowns::new(), MockHomeCalls::new())).await;
    for path in ["/api/gastown", "/api/gastown/", "/api/gastown/heartbeats", "/api/gastown/heartbeat/x"] {
        let (status, refused) = answer(client().post(server.url(path))).await;
        let want = json!({
            "message": format!("No route on path \"{path}\""), "code": "NOT_FOUND", "reason": "no_procedure",
            "httpStatus": 404,
        });
        assert_eq!((status, &refused["error"]), (404, &want), "{path}");
    }
}
