//! The limits of calls: batches, sizes of answers, calls at a time, hosts and ids.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gastown_domain::ports::{MockReadiness, MockTowns, StoreError};
use gastown_http::trpc::{AdmissionLimits, CallError, Code, Guard, Router, Settings};
use http::request::Parts;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    fake_towns::FakeTowns,
    probe::{self, Anybody},
    server::{Server, client},
    world::{ALICE, parts, serve},
};

/// Admits every caller by the name in the header `x-name`.
struct ByName;

#[async_trait]
impl Guard for ByName {
    type Caller = String;

    async fn admit(&self, head: &Parts) -> Result<String, CallError> {
        let name = head.headers.get("x-name").and_then(|name| name.to_str().ok());
        name.map(str::to_owned).ok_or_else(|| CallError::new(Code::Unauthorized, "no_name", "no name"))
    }

    fn share(&self, caller: &String) -> u64 {
        caller.len() as u64
    }
}

async fn get(server: &Server, path: &str, name: &str) -> (u16, Option<String>, Value) {
    let answer = client().get(server.url(path)).header("x-name", name).send().await.unwrap();
    let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), retry, answer.json().await.unwrap())
}

/// Returns a router whose call `probe.hold` waits for a permit, and the number of calls that run.
fn holding(gate: &Arc<Semaphore>) -> (Router, Arc<AtomicUsize>) {
    let (gate, running) = (Arc::clone(gate), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&running);
    let router = Router::new().query("probe.hold", ByName, move |_, ()| {
        let (gate, running) = (Arc::clone(&gate), Arc::clone(&count));
        async move {
            running.fetch_add(1, Ordering::SeqCst);
            let _permit = gate.acquire().await.unwrap();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(1)
        }
    });
    (router, running)
}

async fn until_running(running: &AtomicUsize, count: usize) {
    let reached = async {
        while running.load(Ordering::SeqCst) != count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), reached).await.unwrap_or_else(|_| panic!("{running:?} calls run"));
}

#[tokio::test]
async fn calls_of_a_batch_run_a_few_at_a_time() {
    for accept in ["application/json", "application/jsonl"] {
        let gate = Arc::new(Semaphore::new(0));
        let (router, running) = holding(&gate);
        let settings = Settings { batch_concurrency: 2, max_batch_size: 10, ..probe::settings() };
        let server = probe::serve(router, settings).await;
        let url = server.url(&format!("/trpc/{}?batch=1", ["probe.hold"; 7].join(",")));
        let request = client().get(url).header("x-name", "a").header("trpc-accept", accept);
        let answer = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
        until_running(&running, 2).await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(running.load(Ordering::SeqCst), 2, "{accept}");
        gate.add_permits(100);
        let body = answer.await.unwrap();
        assert!(!body.contains("error"), "{body}");
    }
}

#[tokio::test]
async fn outputs_beyond_the_size_of_an_answer_are_refused() {
    let router = Router::new().query("probe.big", Anybody, |(), ()| async { Ok("x".repeat(1500)) });
    let settings = Settings { max_answer_bytes: 4000, max_batch_size: 10, ..probe::settings() };
    let server = probe::serve(router, settings).await;
    let (status, _, got) = get(&server, "/trpc/probe.big,probe.big,probe.big,probe.big?batch=1", "").await;
    assert_eq!(status, 207);
    let codes: Vec<_> = got.as_array().unwrap().iter().map(|call| call["error"]["data"]["code"].clone()).collect();
    let refused = json!("PAYLOAD_TOO_LARGE");
    assert_eq!(codes.iter().filter(|code| **code == refused).count(), 2, "{got}");
    assert_eq!(codes.iter().filter(|code| code.is_null()).count(), 2, "{got}");
    let error = got.as_array().unwrap().iter().find(|call| call.get("error").is_some()).unwrap();
    assert_eq!(error["error"]["message"], "The answer would exceed 4000 bytes; request less at once");
}

#[tokio::test]
async fn unread_answers_of_one_user_are_bounded() {
    let router = Router::new().query("probe.big", ByName, |_, ()| async { Ok("x".repeat(8 * 1024 * 1024)) });
    let settings = Settings { max_answer_bytes: 9_000_000, max_untaken_bytes: 20_000_000, ..probe::settings() };
    let server = probe::serve(router, settings).await;
    let mut readers = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(b"GET /trpc/probe.big HTTP/1.1\r\nhost: x\r\nx-name: a\r\n\r\n").await.unwrap();
        socket.read_exact(&mut [0; 12]).await.unwrap();
        readers.push(socket);
    }
    let (status, retry, got) = get(&server, "/trpc/probe.big", "a").await;
    assert_eq!((status, retry.as_deref(), &got["error"]["data"]["retryAfter"]), (429, Some("1"), &json!(1)));
    assert_eq!(get(&server, "/trpc/probe.big", "bb").await.0, 200, "another user has its own share");
    drop(readers);
    let read = async {
        while get(&server, "/trpc/probe.big", "a").await.0 != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), read).await.expect("closed connections still count");
}

#[tokio::test]
async fn overload_is_refused_early_and_fairly_and_ends_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let (router, running) = holding(&gate);
    let max_wait = Duration::from_millis(300);
    let reads = AdmissionLimits { max_running: 4, max_running_per_caller: 3, max_waiting: 8, max_wait };
    let server = Arc::new(probe::serve(router, Settings { reads, ..probe::settings() }).await);
    let call = |name: &'static str| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { get(&server, "/trpc/probe.hold", name).await })
    };
    let load: Vec<_> = (0..40).map(|_| call("a")).collect();
    until_running(&running, 3).await;
    let other = call("bb");
    until_running(&running, 4).await;
    let third = call("ccc").await.unwrap();
    assert_eq!((third.0, third.1.as_deref()), (503, Some("1")));
    assert_eq!(third.2["error"]["data"]["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(third.2["error"]["message"], "The service is overloaded; try again in a second");
    gate.add_permits(1000);
    assert_eq!(other.await.unwrap().0, 200);
    let mut statuses = Vec::new();
    for call in load {
        let (status, retry, _) = call.await.unwrap();
        assert_eq!(retry.is_some(), status != 200);
        statuses.push(status);
    }
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 33, "{statuses:?}");
    assert_eq!(get(&server, "/trpc/probe.hold", "a").await.0, 200, "nothing is left of the load");
}

#[tokio::test]
async fn body_that_comes_too_slowly_times_out() {
    let settings = Settings { body_timeout: Duration::from_millis(200), ..probe::settings() };
    let server = probe::serve(probe::router(), settings).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head = b"POST /trpc/probe.take HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\
        content-type: application/json\r\ncontent-length: 10\r\n\r\n\"";
    socket.write_all(head).await.unwrap();
    let mut answer = [0; 12];
    timeout(Duration::from_secs(10), socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn readiness_is_checked_once_for_many_callers() {
    let checks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&checks);
    let mut readiness = MockReadiness::new();
    readiness.expect_ready().returning(move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(()),
        _ => Err(StoreError::Unavailable { cause: "gone".into() }),
    });
    let mut parts = parts(MockTowns::new());
    parts.readiness = Arc::new(readiness);
    parts.settings.readiness_max_age = Duration::from_millis(500);
    let server = serve(parts).await;
    let probe = async || client().get(server.url("/readyz")).send().await.unwrap().status().as_u16();
    let statuses = futures::future::join_all((0..50).map(|_| probe())).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(checks.load(Ordering::SeqCst), 1);
    sleep(Duration::from_millis(600)).await;
    assert_eq!((probe().await, checks.load(Ordering::SeqCst)), (503, 2));
}

/// Sends a request as it is, and returns the answer.
async fn raw(server: &Server, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn request_must_name_one_host() {
    let server = serve(parts(FakeTowns::default())).await;
    for (version, hosts, status) in [
        ("1.1", "host: x\r\n", "200"),
        ("1.1", "host: [::1]:8080\r\n", "200"),
        ("1.1", "", "400"),
        ("1.1", "host: x\r\nhost: x\r\n", "400"),
        ("1.1", "host: x\r\nHost: y\r\n", "400"),
        ("1.1", "host: \r\n", "400"),
        ("1.1", "host: a b\r\n", "400"),
        ("1.0", "", "200"),
        ("1.0", "host: x\r\nhost: y\r\n", "400"),
    ] {
        let answer = raw(&server, &format!("GET /healthz HTTP/{version}\r\n{hosts}connection: close\r\n\r\n")).await;
        assert!(answer.split(' ').nth(1) == Some(status), "{version} {hosts:?}: {answer}");
        assert_eq!(answer.contains("BAD_REQUEST"), status == "400", "{answer}");
    }
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    assert_eq!(http2.get(server.url("/healthz")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn request_id_of_another_form_is_replaced() {
    let server = serve(parts(FakeTowns::default())).await;
    let (good, long, huge) = ("A.b_c-9".to_owned(), "x".repeat(65), "x".repeat(20_000));
    for (id, kept) in [(good, true), (long, false), (huge, false), ("a b".into(), false), ("a\"b".into(), false)] {
        let answer = client().get(server.url("/healthz")).header("x-request-id", &id).send().await.unwrap();
        let got = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(got == id, kept, "{got}");
        assert!(got.len() <= 64, "{got}");
    }
    let twice = client().get(server.url("/healthz")).header("x-request-id", "one").header("x-request-id", "two");
    let answer = twice.send().await.unwrap();
    assert!(!["one", "two"].contains(&answer.headers()["x-request-id"].to_str().unwrap()));
}

#[tokio::test]
async fn long_texts_of_a_request_are_cut_in_answers() {
    let server = serve(parts(FakeTowns::default())).await;
    let long = "x".repeat(20_000);
    for (path, content_type, status) in [
        (format!("/trpc/{long}"), "application/json", 404),
        (format!("/trpc/%zz{long}"), "application/json", 400),
        ("/trpc/gastown.createTown".to_owned(), long.as_str(), 415),
        (format!("/{long}"), "application/json", 404),
    ] {
        let request = client().post(server.url(&path)).bearer_auth(ALICE).header("content-type", content_type);
        let answer = request.body("{}").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let text = answer.text().await.unwrap();
        assert!(text.len() < 1000, "{} bytes", text.len());
    }
}

#[tokio::test]
async fn no_answer_is_stored_or_sniffed() {
    let server = serve(parts(FakeTowns::default())).await;
    for path in ["/healthz", "/readyz", "/trpc/gastown.listTowns", "/trpc/nothing", "/nothing"] {
        let answer = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}
