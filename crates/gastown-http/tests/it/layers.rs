//! The layers around the procedures: probes, origins, request ids, panics, time-outs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gastown_domain::ports::{MockReadiness, MockTowns, Readiness, StoreError};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    fake_towns::FakeTowns,
    server::client,
    world::{ALICE, call, parts, serve},
};

#[tokio::test]
async fn healthz_makes_no_call() {
    let mut parts = parts(MockTowns::new());
    parts.readiness = Arc::new(MockReadiness::new());
    let server = serve(parts).await;
    let response = client().get(server.url("/healthz")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (200, r#"{"status":"ok"}"#.to_owned()));
}

struct Stuck;

#[async_trait]
impl Readiness for Stuck {
    async fn ready(&self) -> Result<(), StoreError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn readyz_reports_the_database() {
    let mut good = MockReadiness::new();
    good.expect_ready().times(1).returning(|| Ok(()));
    let mut bad = MockReadiness::new();
    bad.expect_ready().times(1).returning(|| Err(StoreError::Unavailable { cause: "secret".into() }));
    let cases: [(Arc<dyn Readiness>, u16, &str); 3] = [
        (Arc::new(good), 200, r#"{"status":"ready"}"#),
        (Arc::new(bad), 503, r#"{"status":"unavailable"}"#),
        (Arc::new(Stuck), 503, r#"{"status":"unavailable"}"#),
    ];
    for (readiness, status, body) in cases {
        let mut parts = parts(MockTowns::new());
        parts.readiness = readiness;
        let server = serve(parts).await;
        let response = client().get(server.url("/readyz")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (status, body.to_owned()));
    }
}

/// The headers of tRPC's clients, and those that tracing and Sentry add.
const REQUESTED_HEADERS: [&str; 9] = [
    "authorization",
    "baggage",
    "content-type",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "trpc-accept",
    "x-requested-with",
    "x-trpc-source",
];

#[tokio::test]
async fn only_allowed_origins_pass_cors() {
    let mut parts = parts(MockTowns::new());
    parts.settings.allowed_origins = vec!["https://app.example.com".parse().unwrap()];
    let server = serve(parts).await;
    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example.com", false)] {
        let preflight = client()
            .request(Method::OPTIONS, server.url("/trpc/gastown.createTown"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", REQUESTED_HEADERS.join(","));
        let response = preflight.send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_ascii_lowercase());
        assert_eq!(header("access-control-allow-origin"), allowed.then(|| origin.to_owned()));
        let headers = header("access-control-allow-headers").unwrap_or_default();
        let allowed: Vec<_> = headers.split(',').map(str::trim).collect();
        assert!(REQUESTED_HEADERS.iter().all(|name| allowed.contains(name)), "{headers}");
    }
}

#[tokio::test]
async fn no_origin_is_allowed_by_default() {
    let server = serve(parts(MockTowns::new())).await;
    let response = client()
        .get(server.url("/trpc/gastown.listTowns"))
        .header("origin", "https://app.example.com")
        .send()
        .await
        .unwrap();
    assert!(response.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn every_answer_carries_its_request_id() {
    let server = serve(parts(MockTowns::new())).await;
    let url = server.url("/trpc/gastown.listTowns");
    let made = client().get(&url).send().await.unwrap();
    assert_eq!(made.headers()["x-request-id"].len(), 36);
    let given = client().get(&url).header("x-request-id", "from-the-proxy").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "from-the-proxy");
}

#[tokio::test]
async fn panic_is_an_internal_error_without_details() {
    let mut towns = MockTowns::new();
    towns.expect_list_towns().returning(|_, _| panic!("secret"));
    let server = serve(parts(towns)).await;
    let got = call(&server, Method::GET, "gastown.listTowns", ALICE, &Value::Null).await;
    let data =
        json!({"code": "INTERNAL_SERVER_ERROR", "reason": "internal", "httpStatus": 500, "path": "gastown.listTowns"});
    let error = json!({"message": "Internal server error", "code": -32603, "data": data});
    assert_eq!(got, (500, json!({ "error": error })));
}

#[tokio::test]
async fn tracker_holds_a_mutation_after_its_time_out() {
    let release = Arc::new(Notify::new());
    let mut parts = parts(FakeTowns::that_wait_for(Arc::clone(&release)));
    parts.settings.trpc.time_limit = Duration::from_secs(1);
    let tasks = parts.tasks.clone();
    let server = serve(parts).await;
    let input = json!({"townId": "0190a1b2-c3d4-7e5f-8a9b-000000000001"});
    let (status, envelope) = call(&server, Method::POST, "gastown.stopTown", ALICE, &input).await;
    assert_eq!((status, &envelope["error"]["data"]["code"]), (408, &json!("TIMEOUT")));
    assert_eq!(envelope["error"]["message"], "The request timed out; the operation continues in the background");
    tasks.close();
    assert_eq!(tasks.len(), 1);
    release.notify_one();
    tokio::time::timeout(Duration::from_secs(10), tasks.wait()).await.expect("the mutation does not end");
}
