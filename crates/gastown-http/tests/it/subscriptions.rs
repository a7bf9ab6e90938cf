//! Subscriptions: the recorded events, and what ends a stream.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use gastown_http::trpc::{CallError, Router, Settings, Tracked, WatcherLimits};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};

use crate::{
    golden::{Recording, records},
    probe::{self, Anybody, Switch, settings, subscriptions, watchers},
    server::{Server, client},
};

/// Sends a recorded request. Returns status, headers and as much of the body as is recorded.
async fn replay(server: &Server, record: &Recording) -> (u16, BTreeMap<String, String>, String) {
    let mut request = client().get(server.url(&record.request.url));
    for (name, value) in &record.request.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.collect();
    let wanted = record.response.body.as_ref().unwrap().len();
    let (mut body, mut parts) = (String::new(), answer.bytes_stream());
    while body.len() < wanted
        && let Some(part) = timeout(Duration::from_secs(10), parts.next()).await.unwrap()
    {
        body.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
    }
    (status, headers, body)
}

#[tokio::test]
async fn recorded_subscriptions_get_the_recorded_events() {
    let server = probe::serve(subscriptions(), settings()).await;
    let pinging =
        WatcherLimits { ping: Duration::from_millis(100), reconnect_after: Some(Duration::from_secs(5)), ..watchers() };
    let pinging = probe::serve(subscriptions(), Settings { watchers: pinging, ..settings() }).await;
    let mut replayed = 0;
    for record in records().into_iter().filter(|record| record.id.starts_with("sse-") || record.id == "c11-sse") {
        let server = if record.id == "sse-pings" { &pinging } else { &server };
        let (status, headers, mut body) = replay(server, &record).await;
        let mut want = record.response.body.clone().unwrap();
        if record.id == "sse-unauthorized" || record.id == "sse-error" {
            body = without_reason(&body);
            want = without_reason(&want);
        }
        assert_eq!((status, body), (record.response.status, want), "{}", record.id);
        for name in ["content-type", "vary", "cache-control", "x-accel-buffering"] {
            assert_eq!(headers.get(name), record.response.headers.get(name), "{}: {name}", record.id);
        }
        replayed += 1;
    }
    assert_eq!(replayed, 11);
}

/// Returns events whose errors have no `reason`, with their members in order.
fn without_reason(body: &str) -> String {
    let line = |text: &str| match text.strip_prefix("data: ").map(serde_json::from_str::<serde_json::Value>) {
        Some(Ok(mut error)) if error.get("message").is_some() => {
            error["data"].as_object_mut().unwrap().remove("reason");
            format!("data: {error}")
        }
        _ => text.to_owned(),
    };
    body.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn subscription_is_neither_batched_nor_posted() {
    let server = probe::serve(subscriptions(), settings()).await;
    let batched = client().get(server.url("/trpc/probe.ticks?batch=1")).send().await.unwrap();
    assert_eq!(batched.status(), 400);
    assert!(batched.text().await.unwrap().contains("Cannot batch subscription calls"));
    let posted = client().post(server.url("/trpc/probe.ticks")).json(&json!({})).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), posted.headers()["allow"].to_str().unwrap()), (405, "GET"));
    let params = client().get(server.url("/trpc/probe.params?connectionParams=%7B%22token%22%3A5%7D")).send().await;
    assert_eq!(params.unwrap().status(), 400);
}

fn idle(release: &Arc<Notify>) -> Router {
    let release = Arc::clone(release);
    Router::new().subscription("probe.wait", Anybody, move |(), ()| {
        let release = Arc::clone(&release);
        async move {
            Ok(stream::once(async move {
                release.notified().await;
                Ok::<_, CallError>(Tracked::untracked(json!(1)))
            }))
        }
    })
}

#[tokio::test]
async fn subscriptions_of_a_caller_are_limited_until_they_end() {
    let release = Arc::new(Notify::new());
    let limits = WatcherLimits { max_open_per_caller: 1, ..watchers() };
    let server = probe::serve(idle(&release), Settings { watchers: limits, ..settings() }).await;
    let get = || client().get(server.url("/trpc/probe.wait")).send();
    let mut first = get().await.unwrap();
    assert_eq!(first.chunk().await.unwrap().unwrap(), "event: connected\ndata: {}\n\n\n");
    // The place is taken once the second event is awaited, which the first answer does without a reader.
    let refused = loop {
        let text = async {
            let answer = get().await.unwrap();
            // A browser hides the body of any other status.
            assert_eq!(answer.status(), 200);
            answer.text().await.unwrap()
        };
        if let Ok(text) = timeout(Duration::from_millis(500), text).await {
            break text;
        }
    };
    assert!(refused.contains("serialized-error") && refused.contains("too_many_watchers"), "{refused}");
    assert!(refused.contains("\"retryAfter\":5") && refused.contains("\"httpStatus\":429"), "{refused}");
    release.notify_one();
    let rest = first.text().await.unwrap();
    assert!(rest.ends_with("event: return\ndata: \n\n\n"), "{rest}");
    release.notify_one();
    let again = get().await.unwrap().text().await.unwrap();
    assert!(again.contains("data: 1"), "{again}");
}

#[tokio::test]
async fn caller_that_is_no_longer_admitted_loses_its_stream() {
    let admitted = Arc::new(AtomicBool::new(true));
    let router = Router::new().subscription("probe.wait", Switch(Arc::clone(&admitted)), |(), ()| async {
        Ok(stream::pending::<Result<Tracked<u8>, CallError>>())
    });
    let limits = WatcherLimits { ping: Duration::from_millis(30), ..watchers() };
    let server = probe::serve(router, Settings { watchers: limits, ..settings() }).await;
    let mut answer = client().get(server.url("/trpc/probe.wait")).send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("event: ping") {
        seen.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    admitted.store(false, Ordering::SeqCst);
    let rest = timeout(Duration::from_secs(10), answer.text()).await.unwrap().unwrap();
    assert!(rest.contains("serialized-error") && rest.contains("UNAUTHORIZED"), "{rest}");
}

#[tokio::test]
async fn shutdown_closes_streams_without_an_end() {
    let server = probe::serve(idle(&Arc::new(Notify::new())), settings()).await;
    let mut answer = client().get(server.url("/trpc/probe.wait")).send().await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    server.stop.cancel();
    let rest = timeout(Duration::from_secs(10), answer.text()).await.unwrap().unwrap();
    assert_eq!(rest, "", "the client reconnects, and resumes at another replica");
    while !server.has_stopped() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn old_streams_are_closed_without_an_end() {
    let limits = WatcherLimits { max_age: Duration::from_millis(100), ..watchers() };
    let server = probe::serve(idle(&Arc::new(Notify::new())), Settings { watchers: limits, ..settings() }).await;
    let answer = client().get(server.url("/trpc/probe.wait")).send().await.unwrap();
    let text = timeout(Duration::from_secs(10), answer.text()).await.unwrap().unwrap();
    assert_eq!(text, "event: connected\ndata: {}\n\n\n");
}
