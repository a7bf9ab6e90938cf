//! The reasons of the description are those that callers receive. [`check`] judges each refusal that a test receives, and the
//! tests here provoke what does not depend on the service. `declared_reasons.rs` in the tests of `gastown-server` provokes
//! the rest.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use gastown_domain::{
    Failure, OperationKind, TownId,
    ports::{HomeError, MockHomeCalls, MockTowns, StoreError, TownError},
};
use gastown_http::{
    HttpParts, Reason,
    schema::{CalledBy, REASONS_OF_EVERY_CALL, Wire, wire},
    trpc,
};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::{
    failures::{failing, valid_input},
    fake_towns::FakeTowns,
    server::{Server, client},
    wire_reference::check_error_data,
    world::{ALICE, BOB, answer, parts, parts_with, serve, settings},
};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

static WIRE: LazyLock<Wire> = LazyLock::new(wire);

/// Checks that each error of a body, however deep it is, has a reason that its procedure declares, and described members.
pub(crate) fn check(body: &Value) {
    match body {
        Value::Array(items) => items.iter().for_each(check),
        Value::Object(members) => {
            members.values().for_each(check);
            if let (Some(reason), Some(_)) = (members.get("reason").and_then(Value::as_str), members.get("httpStatus"))
            {
                let path = members.get("path").and_then(Value::as_str);
                let is_probe = path.is_some_and(|path| path.starts_with("probe."));
                assert!(is_probe || WIRE.declares(path, reason), "{path:?} does not declare {reason}");
                if !is_probe {
                    check_error_data(body);
                }
            }
        }
        _ => {}
    }
}

#[test]
#[should_panic(expected = "does not declare town_name_taken")]
fn undeclared_reason_is_noticed() {
    let data = json!({"reason": "town_name_taken", "httpStatus": 409, "path": "gastown.listTowns"});
    check(&json!([{ "error": { "data": data } }]));
}

/// Sends a request of alice, with the key of a sandbox too. Returns the member `data` of its error.
async fn refusal(request: reqwest::RequestBuilder) -> Value {
    let (status, body) = answer(request.bearer_auth(ALICE).header("x-internal-api-key", "key")).await;
    let error = body.get("error").or(body.get(1).and_then(|second| second.get("error")));
    error.unwrap_or_else(|| panic!("{status}: {body}"))["data"].clone()
}

fn word(data: &Value) -> &str {
    data["reason"].as_str().unwrap()
}

fn get(server: &Server, path: &str) -> reqwest::RequestBuilder {
    client().get(server.url(&format!("/trpc/{path}")))
}

fn post(server: &Server, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    client().post(server.url(&format!("/trpc/{path}"))).header("content-type", "application/json").body(body)
}

/// Returns a server whose towns are never stopped or listed, with other limits.
async fn stuck(change: impl FnOnce(&mut trpc::Settings)) -> Server {
    changed(FakeTowns::that_wait_for(Arc::new(Notify::new())), change).await
}

async fn changed(towns: FakeTowns, change: impl FnOnce(&mut trpc::Settings)) -> Server {
    let mut parts: HttpParts = parts(towns);
    change(&mut parts.settings.trpc);
    serve(parts).await
}

/// Returns the refusal of a service whose calls all fail like this.
async fn failing_with(procedure: &str, error: fn() -> TownError) -> Value {
    let server = serve(parts(failing(error))).await;
    refusal(post(&server, procedure, valid_input().to_string())).await
}

/// Sends half a body, and returns the reason of the answer.
async fn half_a_body() -> Value {
    let server = changed(FakeTowns::default(), |trpc| trpc.body_timeout = Duration::from_millis(100)).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /trpc/gastown.createTown HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    check(&body);
    body["error"]["data"].clone()
}

/// Returns the reason of bob's call while one call of alice is at work, or of her own second call.
async fn second_call(token: &str) -> Value {
    let server = Arc::new(stuck(|trpc| (trpc.changes.max_running, trpc.changes.max_running_per_caller) = (1, 1)).await);
    let stop = |token: &str| {
        let body = json!({ "townId": ID }).to_string();
        let request = post(&server, "gastown.stopTown", body).bearer_auth(token);
        tokio::spawn(async move { answer(request).await.1["error"]["data"].clone() })
    };
    let (mut first, mut second) = (stop(ALICE), stop(token));
    // One of the two waits for the other, and is refused.
    let refused = tokio::select! { refused = &mut first => refused, refused = &mut second => refused };
    refused.unwrap()
}

/// Returns the reasons of two stops in one batch, of which the second never starts.
async fn batch_beyond_its_time() -> Vec<Value> {
    let limited = |trpc: &mut trpc::Settings| {
        (trpc.batch_concurrency, trpc.time_limit) = (1, Duration::from_millis(100));
    };
    let server = stuck(limited).await;
    let body = json!({"0": {"townId": ID}, "1": {"townId": ID}}).to_string();
    let (_, body) = answer(post(&server, "gastown.stopTown,gastown.stopTown?batch=1", body).bearer_auth(ALICE)).await;
    body.as_array().unwrap().iter().map(|call| call["error"]["data"].clone()).collect()
}

/// Provokes the reasons of a request that is refused as it is.
async fn of_requests() -> Vec<Value> {
    let server = serve(parts(FakeTowns::default())).await;
    let create = "gastown.createTown";
    vec![
        refusal(get(&server, "gastown.nothing")).await,
        refusal(get(&server, create)).await,
        refusal(client().post(server.url(&format!("/trpc/{create}"))).body("{}")).await,
        refusal(get(&server, "%zz")).await,
        refusal(get(&server, &format!("{}?batch=1", ["gastown.listTowns"; 11].join(",")))).await,
        refusal(post(&server, create, "{")).await,
        refusal(post(&server, create, "x".repeat(settings().trpc.max_body_bytes + 1))).await,
    ]
}

/// Returns the reason of the second of two large answers in one batch. The first is not read yet.
async fn second_large_answer() -> Value {
    let unread = |trpc: &mut trpc::Settings| (trpc.max_untaken_bytes, trpc.batch_concurrency) = (10, 1);
    let server = changed(FakeTowns::default(), unread).await;
    for name in ["mill", "inn", "forge"] {
        let town = json!({"townName": name, "config": {"large": "x".repeat(30_000)}}).to_string();
        assert_eq!(answer(post(&server, "gastown.createTown", town).bearer_auth(ALICE)).await.0, 200);
    }
    refusal(get(&server, "gastown.listTowns,gastown.listTowns?batch=1")).await
}

/// Provokes the reasons of limits.
async fn of_limits() -> Vec<Value> {
    let small = changed(FakeTowns::default(), |trpc| trpc.max_answer_bytes = 1).await;
    let slow = stuck(|trpc| trpc.time_limit = Duration::from_millis(100)).await;
    vec![
        half_a_body().await,
        refusal(get(&small, "gastown.listRegions")).await,
        second_large_answer().await,
        second_call(ALICE).await,
        second_call(BOB).await,
        refusal(get(&slow, "gastown.listTowns")).await,
    ]
}

fn unavailable() -> TownError {
    TownError::Store(StoreError::Unavailable { cause: "gone".into() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_of_every_call_is_provoked() {
    let mut got = of_requests().await;
    got.extend(of_limits().await);
    got.extend(batch_beyond_its_time().await);
    got.push(failing_with("gastown.stopTown", unavailable).await);
    let fenced = || TownError::Store(StoreError::Fenced { town: ID.parse::<TownId>().unwrap() });
    got.push(failing_with("gastown.stopTown", fenced).await);
    let got: BTreeSet<_> = got.iter().map(word).collect();
    assert_eq!(got, REASONS_OF_EVERY_CALL.iter().map(|reason| reason.word()).collect());
}

/// [`check`] refuses members that are not described. These are the described ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_described_member_of_errors_is_provoked() {
    let small = changed(FakeTowns::default(), |trpc| trpc.max_answer_bytes = 1).await;
    let mut got = batch_beyond_its_time().await;
    got.push(refusal(get(&small, "gastown.listRegions")).await);
    got.push(refusal(post(&small, "gastown.createTown", "{}")).await);
    got.push(failing_with("gastown.stopTown", unavailable).await);
    got.push(failing_with("gastown.stopTown", || TownError::InFlight { kind: OperationKind::Start.into() }).await);
    let failed = || TownError::Failed { kind: OperationKind::Stop, failure: Failure::Throttled };
    got.push(failing_with("gastown.stopTown", failed).await);
    let in_use = || TownError::RigInUse { in_the_way: vec!["a worker".into()] };
    got.push(failing_with("gastown.removeRig", in_use).await);
    got.push(failing_with("gastown.createTown", || TownError::TooManyTowns { limit: 50 }).await);
    let got: BTreeSet<_> = got.iter().flat_map(|data| data.as_object().unwrap().keys()).collect();
    assert_eq!(got, WIRE.types["ErrorData"]["properties"].as_object().unwrap().keys().collect());
}

#[tokio::test]
async fn every_procedure_refuses_callers_and_inputs_as_it_declares() {
    let server = serve(parts_with(MockTowns::new(), MockHomeCalls::new())).await;
    for procedure in &WIRE.procedures {
        let bad = match procedure.name {
            // It has no field that a value can be wrong for.
            "gastown.watchTowns" => json!(5),
            _ => json!({"townId": 5, "townName": 5, "limit": 0}),
        };
        let request = |credential: (&str, &str)| {
            match procedure.kind.method() {
                Method::GET => get(&server, procedure.name).query(&[("input", bad.to_string())]),
                _ => post(&server, procedure.name, bad.to_string()),
            }
            .header(credential.0, credential.1)
        };
        let credential = match procedure.called_by {
            CalledBy::User => ("authorization", format!("Bearer {ALICE}")),
            CalledBy::Sandbox => ("x-internal-api-key", "key".to_owned()),
        };
        let mut got = vec![answer(request(("x-nothing", ""))).await.1];
        if procedure.input.is_some() {
            got.push(answer(request((credential.0, &credential.1))).await.1);
        }
        let got: BTreeSet<_> = got.iter().map(|body| body["error"]["data"]["reason"].as_str().unwrap()).collect();
        let of_adapter = [Reason::InvalidToken, Reason::InvalidKey, Reason::InvalidInput];
        let declared = of_adapter.iter().filter(|reason| procedure.reasons.contains(reason));
        assert_eq!(got, declared.map(|reason| reason.word()).collect(), "{}", procedure.name);
    }
}

/// The service cannot be made to mint no token for these causes, so a double does it.
#[tokio::test]
async fn sandbox_without_a_token_gets_each_declared_cause() {
    for failure in [Failure::OwnerUnknown, Failure::SecretsUnavailable] {
        let mut home = MockHomeCalls::new();
        home.expect_refresh_token().returning(move |_, _| Err(HomeError::NoToken(failure)));
        let server = serve(parts_with(MockTowns::new(), home)).await;
        let body = json!({ "townId": ID }).to_string();
        let refused = refusal(post(&server, "gastown.refreshToken", body)).await;
        assert_eq!(word(&refused), failure.code());
    }
}
