//! The protocol without towns: the recorded `probe` calls, and cases that were not recorded.

use std::{sync::Arc, time::Duration};

use gastown_http::trpc::{Router, Settings};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, time::timeout};

use crate::{
    golden::{Answer, Recording, Request, compare, read_stream, record, records, send},
    probe::{Anybody, Anything, router, serve, settings},
    server::Server,
};

/// True for subscriptions, which this router does not support.
fn is_subscription(record: &Recording) -> bool {
    record.id.contains("sse")
}

fn same(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn recorded_probe_calls_get_the_recorded_answers() {
    let server = serve(router(), settings()).await;
    let mut replayed = 0;
    for record in records() {
        let of_client = ["c11-link-mutation-none", "c11-batch-mutation-none", "c10-link-mutation-none"];
        if (record.replay != "probe" && !of_client.contains(&record.id.as_str())) || is_subscription(&record) {
            continue;
        }
        let got = send(&server, &record.request, same).await;
        // The message about an unserialisable output is the serialiser's.
        compare(&record, &got, record.id == "err-unserialisable");
        replayed += 1;
    }
    assert_eq!(replayed, 13);
}

#[tokio::test]
async fn unknown_subscription_is_not_found() {
    let server = serve(router(), settings()).await;
    let record = record("err-sse-unknown");
    let got = send(&server, &record.request, same).await;
    compare(&record, &got, false);
}

#[tokio::test]
async fn stream_sends_the_fast_call_first() {
    let server = serve(router(), settings()).await;
    let record = record("stream-batch");
    let got = send(&server, &record.request, same).await;
    assert_eq!(Some(got.body), record.response.body);
}

#[tokio::test]
async fn silent_stream_sends_spaces() {
    let slow = Router::new().query("probe.slow", Anybody, |(), ()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(json!({"slow": true}))
    });
    let server = serve(slow, Settings { stream_ping: Some(Duration::from_millis(30)), ..settings() }).await;
    let record = record("stream-ping");
    let got = send(&server, &record.request, same).await;
    assert!(got.body.contains("\n "), "{:?}", got.body);
    compare(&record, &got, false);
}

#[tokio::test]
async fn guard_rejects_every_call_of_a_batch() {
    use crate::probe::WithToken;
    let router = Router::new().query("gastown.listTowns", WithToken, |(), ()| async { Ok(0) });
    let server = serve(router, settings()).await;
    let record = record("batch-context-fails");
    let got = send(&server, &record.request, same).await;
    compare(&record, &got, false);
}

async fn get(server: &Server, url: &str) -> Answer {
    call(server, "GET", url, &[], None).await
}

async fn call(server: &Server, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let request = Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.map(str::to_owned),
    };
    send(server, &request, same).await
}

#[tokio::test]
async fn malformed_input_parameter_is_a_bad_request() {
    let server = serve(router(), settings()).await;
    for (query, message) in [
        ("input=%zz", r#"Invalid URL-encoding in query parameter "input""#),
        ("input=%22%ff%22", r#"Invalid URL-encoding in query parameter "input""#),
        ("input=1&input=2", r#"The query parameter "input" is given more than once"#),
    ] {
        let got = get(&server, &format!("/trpc/probe.echo?{query}")).await;
        let data = json!({"code": "BAD_REQUEST", "reason": "malformed_input", "httpStatus": 400, "path": "probe.echo"});
        let want = json!({"error": {"message": message, "code": -32600, "data": data}});
        assert_eq!((got.status, got.json()), (400, want), "{query}");
    }
}

#[tokio::test]
async fn malformed_path_is_a_bad_request() {
    let server = serve(router(), settings()).await;
    for path in ["%zz", "probe.%", "%ff%fe"] {
        let got = get(&server, &format!("/trpc/{path}")).await;
        let message = format!("Invalid URL-encoding in path \"{path}\"");
        let data = json!({"code": "BAD_REQUEST", "reason": "malformed_request", "httpStatus": 400});
        let want = json!({"error": {"message": message, "code": -32600, "data": data}});
        assert_eq!((got.status, got.json()), (400, want), "{path}");
    }
}

#[tokio::test]
async fn body_that_is_not_json_is_a_bad_request() {
    let server = serve(router(), settings()).await;
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for body in ["{", "nope", "\"\\ud800\"", "1 2", deep.as_str()] {
        let headers = [("content-type", "application/json"), ("authorization", "Bearer x")];
        let got = call(&server, "POST", "/trpc/probe.take", &headers, Some(body)).await;
        assert_eq!((got.status, &got.json()["error"]["data"]["code"]), (400, &json!("BAD_REQUEST")), "{body}");
    }
}

#[tokio::test]
async fn body_is_not_read_before_authentication() {
    let server = serve(router(), settings()).await;
    let headers = [("content-type", "application/json")];
    let got = call(&server, "POST", "/trpc/probe.take", &headers, Some(&"[".repeat(4000))).await;
    assert_eq!((got.status, &got.json()["error"]["data"]["code"]), (401, &json!("UNAUTHORIZED")));
}

#[tokio::test]
async fn body_one_byte_over_the_limit_is_too_large() {
    let server = serve(router(), settings()).await;
    let headers = [("content-type", "application/json"), ("authorization", "Bearer x")];
    for (length, status) in [(1024, 200), (1025, 413)] {
        let body = format!("\"{}\"", "x".repeat(length - 2));
        let got = call(&server, "POST", "/trpc/probe.take", &headers, Some(&body)).await;
        assert_eq!(got.status, status, "{length}");
    }
}

#[tokio::test]
async fn panic_fails_only_its_own_call() {
    let server = serve(router(), settings()).await;
    let got = get(&server, "/trpc/probe.panics,probe.fast?batch=1").await;
    assert_eq!(got.status, 207);
    let data =
        json!({"code": "INTERNAL_SERVER_ERROR", "reason": "internal", "httpStatus": 500, "path": "probe.panics"});
    let error = json!({"message": "Internal server error", "code": -32603, "data": data});
    assert_eq!(got.json(), json!([{ "error": error }, {"result": {"data": {"fast": true}}}]));
}

#[tokio::test]
async fn stuck_call_times_out_alone() {
    let server = serve(router(), Settings { time_limit: Duration::from_millis(300), ..settings() }).await;
    let want = |path: &str| {
        let data = json!({"code": "TIMEOUT", "reason": "timed_out", "httpStatus": 408, "path": path, "started": true});
        json!({"error": {"message": "The request timed out", "code": -32008, "data": data}})
    };
    let got = get(&server, "/trpc/probe.stuck,probe.fast?batch=1").await;
    assert_eq!(got.json(), json!([want("probe.stuck"), {"result": {"data": {"fast": true}}}]));
    let streamed =
        call(&server, "GET", "/trpc/probe.stuck?batch=1", &[("trpc-accept", "application/jsonl")], None).await;
    assert_eq!(read_stream(&streamed.body)["0"], want("probe.stuck"));
}

/// Announces a body of this length and never completes it. Returns the start of the status line of the answer.
async fn status_line_for_an_endless_body(settings: Settings, length: u64) -> String {
    let server = serve(router(), settings).await;
    let mut socket = TcpStream::connect(server.origin.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /trpc/probe.take HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n\""
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = timeout(Duration::from_secs(10), tokio::io::AsyncReadExt::read_exact(&mut socket, &mut answer));
    read.await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn endless_body_times_out() {
    let short = Settings { time_limit: Duration::from_millis(300), ..settings() };
    assert_eq!(status_line_for_an_endless_body(short, 10).await, "HTTP/1.1 408");
}

#[tokio::test]
async fn announced_length_over_the_limit_is_refused_at_once() {
    let patient = Settings { time_limit: Duration::from_secs(60), ..settings() };
    assert_eq!(status_line_for_an_endless_body(patient, 99_999_999_999).await, "HTTP/1.1 413");
}

#[tokio::test]
async fn mutation_continues_after_its_client_disconnects() {
    let (begun, finish, finished) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (begun.clone(), finish.clone(), finished.clone());
    let router = Router::new().mutation("probe.long", Anybody, move |(), Anything(_)| {
        let (begun, finish, finished) = signals.clone();
        async move {
            begun.notify_one();
            finish.notified().await;
            finished.notify_one();
            Ok(Value::Null)
        }
    });
    let server = serve(router, settings()).await;
    let url = server.url("/trpc/probe.long");
    let request = crate::server::client().post(url).header("content-type", "application/json").body("1");
    let sending = tokio::spawn(request.send());
    begun.notified().await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    finish.notify_one();
    timeout(Duration::from_secs(10), finished.notified()).await.expect("the mutation was cancelled");
}

#[tokio::test]
async fn calls_of_a_batch_run_concurrently() {
    let meeting = Arc::new(tokio::sync::Barrier::new(3));
    let router = Router::new().query("probe.meet", Anybody, move |(), ()| {
        let meeting = meeting.clone();
        async move {
            meeting.wait().await;
            Ok(1)
        }
    });
    let server = serve(router, settings()).await;
    let got = get(&server, "/trpc/probe.meet,probe.meet,probe.meet?batch=1").await;
    assert_eq!(got.json(), json!([{"result": {"data": 1}}, {"result": {"data": 1}}, {"result": {"data": 1}}]));
}

#[tokio::test]
async fn one_trailing_slash_is_ignored() {
    let server = serve(router(), settings()).await;
    assert_eq!(get(&server, "/trpc/probe.fast/").await.status, 200);
    assert_eq!(get(&server, "/trpc/probe.fast//").await.status, 404);
    assert_eq!(get(&server, "/trpc").await.status, 404);
}
