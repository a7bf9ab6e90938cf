//! The visitors of the pages, and the contents that they see.

use axum::http::StatusCode;
use gastown_console::Access;
use gastown_domain::Town;
use gastown_domain::ports::{MockOperator, StoreError};

use crate::stage::{Stage, TOKEN, registry, sources};

fn pages() -> Vec<String> {
    let town = format!("/console/towns/{}", Town::sample().id);
    [
        "/console",
        "/console/towns",
        &town,
        "/console/operations",
        "/console/rollout",
        "/console/orphans",
        "/console/events",
    ]
    .map(str::to_owned)
    .into()
}

#[tokio::test]
async fn without_the_token_there_is_only_the_form_to_sign_in() {
    // Mocks without expectations: a read would fail the test.
    let stage = Stage::new(sources(MockOperator::new(), None));
    let others = ["/console/live", "/console/none", "/", "/metrics", "/console/login"].map(str::to_owned);
    for path in pages().into_iter().chain(others) {
        for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("cookie", "gastown_console=9999999999.a.b")]]
        {
            let answer = stage.send("GET", &path, headers, "").await;
            let is_login = path == "/console/login";
            assert_eq!(answer.status.as_u16(), if is_login { 405 } else { 401 }, "{path}");
            assert!(is_login || answer.text.contains("name=\"token\""), "{path}: {}", answer.text);
            assert!(!answer.text.contains("Overview") && !answer.text.contains("mill"), "{path}: {}", answer.text);
        }
    }
    for path in ["/console/logout", "/console/towns/x/stop", "/console/rollout/pause", "/console"] {
        assert_eq!(stage.send("POST", path, &[], "").await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_token_is_refused_after_a_pause() {
    let stage = Stage::new(sources(MockOperator::new(), None));
    let start = tokio::time::Instant::now();
    for body in ["token=wrong", "token=", "", "other=1"] {
        let answer = stage.send("POST", "/console/login", &[], body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.text.contains("not the token") && !answer.headers.contains_key("set-cookie"));
    }
    assert!(start.elapsed().as_millis() >= 2000);
    let long = format!("token={}", "a".repeat(5000));
    assert_eq!(stage.send("POST", "/console/login", &[], &long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn every_page_is_shown_with_strict_headers() {
    let stage = Stage::new(sources(registry(), None));
    let cookie = stage.sign_in().await;
    for path in pages() {
        for headers in [[("cookie", cookie.as_str())], [("authorization", &format!("Bearer {TOKEN}"))]] {
            let answer = stage.send("GET", &path, &headers, "").await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
            assert!(answer.text.starts_with("<!DOCTYPE html>") && !answer.text.contains(TOKEN), "{path}");
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'sha256-"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            for (name, value) in [
                ("cache-control", "no-store"),
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("content-type", "text/html; charset=utf-8"),
            ] {
                assert_eq!(answer.headers[name], value, "{path}");
            }
        }
    }
    assert_eq!(stage.page("/console/none").await.status, StatusCode::NOT_FOUND);
    for path in ["/console/towns/mill", "/console/towns/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c"] {
        assert_eq!(stage.page(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(stage.page("/").await.headers["location"], "/console");
}

#[tokio::test]
async fn lists_are_bounded_and_lead_to_the_next_page() {
    let stage = Stage::new(sources(registry(), None));
    for (path, next) in [("/console/towns", "after_user=alice"), ("/console/events", "until=1970-01-01T00%3A00%3A00")] {
        let page = stage.page(path).await.text;
        assert_eq!(page.matches("<tr>").count(), 101, "{path}");
        assert!(page.contains("rel=\"next\"") && page.contains(next), "{path}: {page}");
    }
    for path in ["/console/towns?status=on", "/console/events?town=mill", "/console/events?until=now"] {
        assert_eq!(stage.page(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn failed_read_shows_no_cause() {
    let mut operator = MockOperator::new();
    let failed = || StoreError::Unavailable { cause: "password=hunter2".into() };
    operator.expect_towns().returning(move |_, _| Err(failed()));
    let answer = Stage::new(sources(operator, None)).page("/console/towns").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.text.contains("hunter2") && answer.text.contains("Try again"), "{}", answer.text);
}

#[tokio::test]
async fn console_of_this_machine_needs_its_name_and_no_token() {
    let url = "http://127.0.0.1:9465/console".to_owned();
    let stage = Stage::with(Access::Loopback { url: url.clone() }, sources(registry(), None));
    let page = stage.send("GET", "/console", &[("host", "127.0.0.1:9465")], "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("Sign out"));
    let foreign = stage.send("GET", "/console", &[("host", "rebound.example.com:9465")], "").await;
    assert_eq!(foreign.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(foreign.text.contains(&url) && !foreign.text.contains("name=\"token\""), "{}", foreign.text);
    assert!(!foreign.text.contains("mill"), "{}", foreign.text);
}

#[tokio::test(start_paused = true)]
async fn live_events_end_with_the_server() {
    let stage = Stage::new(sources(registry(), None));
    let stop = stage.stop.clone();
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_secs(25)).await;
        stop.cancel();
    };
    let (answer, ()) = tokio::join!(stage.page("/console/live"), stopping);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert!(answer.text.starts_with("event: latest\ndata: [{"), "{}", answer.text);
    // The same event never comes twice, and pulses come every ten seconds.
    assert_eq!((answer.text.matches("event: new").count(), answer.text.matches("event: pulse").count()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn viewers_of_live_events_are_limited() {
    let stage = Stage::new(sources(registry(), None));
    let stop = stage.stop.clone();
    let watch = || stage.page("/console/live");
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        stop.cancel();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all((0..17).map(|_| watch())), stopping);
    let refused = answers.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert_eq!(refused, 1);
}
