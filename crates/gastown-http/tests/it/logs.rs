//! What is logged, and what never is.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

use gastown_domain::ports::{MockTowns, StoreError, TownError};
use http::Method;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    fake_towns::FakeTowns,
    server::client,
    world::{ALICE, call, parts, serve},
};

/// The log of this crate, at every level, of all tests of the process: a subscriber for one thread only is not reliable
/// while others have none. So a test looks for words of its own.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn collected() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let collect = || {
            let log = Self::default();
            let subscriber = tracing_subscriber::fmt().with_env_filter("gastown_http=trace").with_ansi(false);
            subscriber.with_writer(log.clone()).init();
            log
        };
        LOG.get_or_init(collect).clone()
    }

    fn lines_with(&self, word: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
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
    let answered = log.lines_with("request-of-the-log-test");
    for (path, status) in [("createTown", 200), ("createTown", 401), ("getTownStatus", 400)] {
        let (path, status) = (format!("http.path=\"/trpc/gastown.{path}\""), format!("http.status={status}"));
        assert!(answered.iter().any(|line| line.contains(&path) && line.contains(&status)), "{path}: {answered:#?}");
    }
    for secret in ["canary-in", ALICE] {
        assert_eq!(log.lines_with(secret), [""; 0]);
    }
}

#[tokio::test]
async fn a_failure_of_the_registry_is_logged_once_with_its_causes() {
    let log = Log::collected();
    let mut towns = MockTowns::new();
    towns.expect_list_towns().times(1).returning(|_| {
        Err(TownError::Store(StoreError::Unavailable { cause: "connection refused by the pool".into() }))
    });
    let server = serve(parts(towns)).await;
    call(&server, Method::GET, "gastown.listTowns", ALICE, &json!(null)).await;
    let told = log.lines_with("connection refused by the pool");
    assert_eq!(told.len(), 1, "{told:?}");
    let line = &told[0];
    assert!(line.contains("WARN") && line.contains("database is unavailable: connection refused"), "{line}");
    assert!(line.contains("http.path=\"/trpc/gastown.listTowns\""), "the request is not named: {line}");
}
