//! The log of the adapter: the ids on each line, and the data that is never logged.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

use gastown_domain::ports::{MockTowns, StoreError, TownError};
use http::Method;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    fake_towns::FakeTowns,
    server::{Server, client},
    world::{ALICE, BOB, call, parts, serve},
};

const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The JSON log of this crate, at every level, of all tests of the process. A subscriber for one thread is unreliable
/// while other threads have none, so each test searches for a unique text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn collected() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let collect = || {
            let log = Self::default();
            let subscriber = tracing_subscriber::fmt().with_env_filter("gastown_http=trace").json().flatten_event(true);
            subscriber.with_writer(log.clone()).init();
            log
        };
        LOG.get_or_init(collect).clone()
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    fn events_with(&self, text: &str) -> Vec<Value> {
        self.lines_with(text).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A server whose operations fail with an unavailable database.
async fn server_without_database(cause: &'static str) -> Server {
    let unavailable = move || TownError::Store(StoreError::Unavailable { cause: cause.into() });
    let mut towns = MockTowns::new();
    towns.expect_stop_town().returning(move |_, _| Err(unavailable()));
    towns.expect_list_towns().returning(move |_, _| Err(unavailable()));
    serve(parts(towns)).await
}

/// Calls `stopTown` as alice with these headers.
async fn stop_town(server: &Server, headers: &[(&str, &str)]) {
    let mut request = client().post(server.url("/trpc/gastown.stopTown")).bearer_auth(ALICE);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "townId": TOWN }).to_string();
    request.header("content-type", "application/json").body(body).send().await.unwrap();
}

#[tokio::test]
async fn every_line_of_a_request_has_its_ids() {
    let log = Log::collected();
    let server = server_without_database("unavailable in the test of ids").await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    stop_town(&server, &[("x-request-id", "request-with-ids"), ("traceparent", &traceparent)]).await;

    let events = log.events_with("request-with-ids");
    let messages: Vec<_> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["registry unavailable", "request refused for now"], "{events:#?}");
    for event in &events {
        let want = json!({
            "name": "request", "request_id": "request-with-ids", "trace_id": TRACE, "parent_span_id": PARENT,
            "http.method": "POST", "http.path": "/trpc/gastown.stopTown", "procedure": "gastown.stopTown",
        });
        assert_eq!(event["spans"][0], want, "{event}");
    }
    let want = json!({"name": "call", "procedure": "gastown.stopTown", "user.id": "alice", "town.id": TOWN});
    assert_eq!(events[0]["span"], want, "the failure is logged within its call");
    assert_eq!(events[1]["http.status"], 503);
}

#[tokio::test]
async fn each_call_of_a_batch_or_stream_has_its_own_span() {
    let log = Log::collected();
    let server = server_without_database("unavailable in the test of batches").await;
    for (id, accept) in [("batch-with-ids", "application/json"), ("stream-with-ids", "application/jsonl")] {
        let url = server.url("/trpc/gastown.listTowns,gastown.listTowns,gastown.noSuchThing?batch=1");
        let request = client().get(url).header("x-request-id", id).header("trpc-accept", accept).bearer_auth(BOB);
        request.send().await.unwrap().text().await.unwrap();

        let events = log.events_with(id);
        assert_eq!(events.len(), 3, "{events:#?}");
        for event in &events {
            let procedures = "gastown.listTowns,gastown.listTowns";
            assert_eq!(event["spans"][0]["procedure"], procedures, "without the unknown one: {event}");
            if event["message"] == "registry unavailable" {
                let want = json!({"name": "call", "procedure": "gastown.listTowns", "user.id": "bob"});
                assert_eq!(event["span"], want);
            }
        }
    }
}

#[tokio::test]
async fn invalid_or_repeated_traceparent_is_ignored() {
    let log = Log::collected();
    let server = server_without_database("unavailable in the test of traces").await;
    let valid = format!("00-{TRACE}-{PARENT}-01");
    let invalid = format!("01-{TRACE}-{PARENT}-01");
    for (id, values) in [
        ("trace-absent", vec![]),
        ("trace-invalid", vec![invalid.as_str()]),
        ("trace-repeated", vec![valid.as_str(), valid.as_str()]),
    ] {
        let mut headers = vec![("x-request-id", id)];
        headers.extend(values.into_iter().map(|value| ("traceparent", value)));
        stop_town(&server, &headers).await;
        let events = log.events_with(id);
        assert_eq!(events.len(), 2, "{events:#?}");
        for event in events {
            let request = event["spans"][0].as_object().unwrap();
            assert_eq!(request["request_id"], id);
            assert!(!request.contains_key("trace_id") && !request.contains_key("parent_span_id"), "{event}");
        }
    }
}

#[tokio::test]
async fn neither_headers_nor_query_nor_body_are_logged() {
    let log = Log::collected();
    let server = serve(parts(FakeTowns::default())).await;
    let named = |request: reqwest::RequestBuilder| request.header("x-request-id", "request-of-the-log-test");
    let body = json!({"townName": "mill", "config": {"note": "canary-in-the-body"}}).to_string();
    for token in [ALICE, "canary-in-a-token"] {
        let request = named(client().post(server.url("/trpc/gastown.createTown"))).bearer_auth(token);
        request.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
    }
    let request = named(client().get(server.url("/trpc/gastown.getTownStatus?input=%7B%22canary-in-the-query")));
    request.bearer_auth(ALICE).send().await.unwrap();
    let answered: Vec<_> = log
        .events_with("request-of-the-log-test")
        .into_iter()
        .filter(|event| event["message"] == "request answered")
        .map(|event| (event["spans"][0]["http.path"].clone(), event["http.status"].clone()))
        .collect();
    let want = [("createTown", 200), ("createTown", 401), ("getTownStatus", 400)];
    let want = want.map(|(name, status)| (json!(format!("/trpc/gastown.{name}")), json!(status)));
    assert_eq!(answered, want);
    for secret in ["canary-in", ALICE] {
        assert_eq!(log.lines_with(secret), [""; 0]);
    }
}

#[tokio::test]
async fn rejected_batch_is_one_line() {
    let log = Log::collected();
    let server = serve(parts(FakeTowns::default())).await;
    let url = server.url("/trpc/gastown.listTowns,gastown.listTowns,gastown.listTowns?batch=1");
    let answer = client().get(url).header("x-request-id", "rejected-batch").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let rejected = log.events_with("rejected-batch").into_iter().filter(|event| event["message"] == "caller rejected");
    assert_eq!(rejected.count(), 1);
}

#[tokio::test]
async fn body_of_a_sandbox_is_small() {
    let server = serve(parts(FakeTowns::default())).await;
    let request = client().post(server.url("/trpc/gastown.heartbeat")).header("x-internal-api-key", "any");
    let body = json!({ "townId": TOWN, "more": "x".repeat(20_000) }).to_string();
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn each_401_names_its_rule_and_no_token() {
    let log = Log::collected();
    let mut towns = MockTowns::new();
    towns.expect_list_towns().returning(|_, _| Err(TownError::Unauthorized));
    let server = serve(parts(towns)).await;
    for (id, token, reason) in [
        ("rejected-absent", "", "no single bearer token"),
        ("rejected-forged", "forged", "wrong signature"),
        ("rejected-expired", "expired", "expired"),
        ("rejected-pepper", ALICE, "token is not valid for its user"),
    ] {
        let mut request = client().get(server.url("/trpc/gastown.listTowns")).header("x-request-id", id);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), 401);
        let events = log.events_with(id);
        assert_eq!((&events[0]["message"], &events[0]["reason"]), (&json!("caller rejected"), &json!(reason)));
        assert_eq!(events[0]["level"], "INFO");
    }
    let keyless = client().post(server.url("/trpc/gastown.heartbeat")).header("x-request-id", "rejected-sandbox");
    assert_eq!(keyless.header("content-type", "application/json").body("{}").send().await.unwrap().status(), 401);
    assert_eq!(log.events_with("rejected-sandbox")[0]["reason"], "no single internal API key");
}

#[tokio::test]
async fn long_path_is_cut_in_the_log() {
    let log = Log::collected();
    let server = serve(parts(FakeTowns::default())).await;
    let url = server.url(&format!("/trpc/{}", "x".repeat(20_000)));
    client().get(url).header("x-request-id", "request-with-a-long-path").send().await.unwrap();
    for line in log.lines_with("request-with-a-long-path") {
        assert!(line.len() < 1000, "{} bytes", line.len());
    }
}

#[tokio::test]
async fn registry_failure_is_logged_once_with_its_causes() {
    let log = Log::collected();
    let server = server_without_database("connection refused by the pool").await;
    call(&server, Method::GET, "gastown.listTowns", ALICE, &json!(null)).await;
    let events = log.events_with("connection refused by the pool");
    assert_eq!(events.len(), 1, "{events:#?}");
    let error = "database is unavailable: connection refused by the pool";
    assert_eq!((&events[0]["level"], &events[0]["error"]), (&json!("WARN"), &json!(error)));
}
