//! The actions: only if they are allowed, and only from a form of the visitor's own session.

use axum::http::StatusCode;
use gastown_console::TownAction;
use gastown_domain::Town;

use crate::stage::{Requested, Stage, TOKEN, TOKEN_OF_EVE, form_token, operators, registry, sources};

fn path(action: &str) -> String {
    format!("/console/towns/{}/{action}", Town::sample().id)
}

async fn acting() -> (Stage, Requested, String, String) {
    let requested = Requested::default();
    let stage = Stage::new(sources(registry(), Some(requested.clone())));
    let cookie = stage.sign_in().await;
    let page = stage.send("GET", &format!("/console/towns/{}", Town::sample().id), &[("cookie", &cookie)], "").await;
    // The first form signs out. All forms of a session have the same token.
    let token = form_token(&page.text);
    (stage, requested, cookie, token)
}

#[tokio::test]
async fn read_only_console_has_no_forms_and_refuses_actions() {
    let stage = Stage::new(sources(registry(), None));
    let cookie = stage.sign_in().await;
    let page = stage.send("GET", &format!("/console/towns/{}", Town::sample().id), &[("cookie", &cookie)], "").await;
    assert!(!page.text.contains("/stop\""), "{}", page.text);
    let body = format!("form_token={}", form_token(&page.text));
    let answer = stage.send("POST", &path("stop"), &[("cookie", &cookie)], &body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text.contains("--allow-actions"));
}

#[tokio::test]
async fn actions_are_requested_from_forms_of_the_session() {
    let (stage, requested, cookie, token) = acting().await;
    let town = Town::sample().id;
    for (action, fields, did) in [
        ("stop", "", "accepted"),
        ("start", "", "busy"),
        ("destroy", "&name=mil", "not_confirmed"),
        ("destroy", "", "not_confirmed"),
        ("destroy", "&name=mill", "gone"),
    ] {
        let body = format!("form_token={token}{fields}");
        let answer = stage.send("POST", &path(action), &[("cookie", &cookie)], &body).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}: {}", answer.text);
        let next = answer.headers["location"].to_str().unwrap();
        assert_eq!(next, format!("/console/towns/{town}?did={did}"));
        let page = stage.send("GET", next, &[("cookie", &cookie)], "").await.text;
        assert!(page.contains("role=\"status\""), "{page}");
    }
    let expected = [TownAction::Stop, TownAction::Start, TownAction::Destroy]
        .map(|action| (town, action, "operator:console".to_owned()));
    assert_eq!(*requested.lock().unwrap(), expected);
    let unknown =
        stage.send("GET", &format!("/console/towns/{town}?did=%3Cb%3E"), &[("cookie", &cookie)], "").await.text;
    assert!(!unknown.contains("role=\"status\"") && !unknown.contains("<b>"), "{unknown}");
}

#[tokio::test]
async fn action_is_that_of_the_operator_who_signed_in() {
    let (stage, requested, other_cookie, other_token) = acting().await;
    let cookie = stage.sign_in_with(TOKEN_OF_EVE).await;
    let page =
        stage.send("GET", &format!("/console/towns/{}", Town::sample().id), &[("cookie", &cookie)], "").await.text;
    assert!(page.contains("operator:eve"), "{page}");
    let body = format!("form_token={}", form_token(&page));
    // A form is of the session in which it was shown.
    for (cookie, body) in [(&cookie, format!("form_token={other_token}")), (&other_cookie, body.clone())] {
        assert_eq!(stage.send("POST", &path("stop"), &[("cookie", cookie)], &body).await.status, StatusCode::FORBIDDEN);
    }
    let answer = stage.send("POST", &path("stop"), &[("cookie", &cookie)], &body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let expected = (Town::sample().id, TownAction::Stop, "operator:eve".to_owned());
    assert_eq!(*requested.lock().unwrap(), [expected]);
    // Without the token, its sessions are over, and those of others are not.
    let without = Stage::with(operators([(None, TOKEN)]), sources(registry(), None));
    for (cookie, status) in [(&cookie, StatusCode::UNAUTHORIZED), (&other_cookie, StatusCode::OK)] {
        assert_eq!(without.send("GET", "/console", &[("cookie", cookie)], "").await.status, status);
    }
}

#[tokio::test]
async fn a_rollout_is_paused_only_where_actions_are_allowed() {
    let (stage, _, cookie, token) = acting().await;
    let headers = [("cookie", cookie.as_str())];
    let page = stage.send("GET", "/console/rollout", &headers, "").await.text;
    assert!(page.contains("became unhealthy after its restart") && page.contains("/console/rollout/pause"), "{page}");
    assert!(!page.contains("/console/rollout/resume"), "it is running");
    let body = format!("form_token={token}");
    for (order, status) in [("pause", 303), ("resume", 303), ("undo", 404), ("start", 404)] {
        let answer = stage.send("POST", &format!("/console/rollout/{order}"), &headers, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{order}");
    }
    assert_eq!(stage.send("POST", "/console/rollout/pause", &headers, "").await.status, StatusCode::FORBIDDEN);
    let next = stage.send("GET", "/console/rollout?did=done", &headers, "").await.text;
    assert!(next.contains("role=\"status\""), "{next}");

    let reading = Stage::new(sources(registry(), None));
    let cookie = reading.sign_in().await;
    let headers = [("cookie", cookie.as_str())];
    let page = reading.send("GET", "/console/rollout", &headers, "").await.text;
    assert!(!page.contains("/console/rollout/pause"), "{page}");
    let body = format!("form_token={}", form_token(&page));
    let refused = reading.send("POST", "/console/rollout/pause", &headers, &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn forged_forms_do_nothing() {
    let (stage, requested, cookie, token) = acting().await;
    let other = Stage::with(operators([(None, "another-token-of-32-bytes-or-more")]), sources(registry(), None));
    let foreign = other.send("POST", "/console/login", &[], "token=another-token-of-32-bytes-or-more").await;
    let foreign = foreign.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (headers, body, status) in [
        (vec![("cookie", cookie.as_str())], String::new(), 403),
        (vec![("cookie", cookie.as_str())], "form_token=".to_owned(), 403),
        (vec![("cookie", cookie.as_str())], format!("form_token={}", &token[1..]), 403),
        (vec![], format!("form_token={token}"), 401),
        (vec![("cookie", foreign.as_str())], format!("form_token={token}"), 401),
    ] {
        for path in [path("stop"), path("destroy"), "/console/logout".to_owned()] {
            let answer = stage.send("POST", &path, &headers, &format!("{body}&name=mill")).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {headers:?} {body}");
        }
    }
    // The token of a session is not that of a visitor with a bearer token.
    let bearer = format!("Bearer {TOKEN}");
    let answer = stage.send("POST", &path("stop"), &[("authorization", &bearer)], &format!("form_token={token}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(requested.lock().unwrap().is_empty());
}

#[tokio::test]
async fn unknown_actions_and_towns_are_not_found() {
    let (stage, requested, cookie, token) = acting().await;
    let missing = "/console/towns/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c/stop".to_owned();
    for path in [path("reboot"), missing, "/console/towns/mill/stop".to_owned()] {
        let answer = stage.send("POST", &path, &[("cookie", &cookie)], &format!("form_token={token}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        stage.send("GET", &path("stop"), &[("cookie", &cookie)], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert!(requested.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sign_out_ends_the_session_in_the_browser() {
    let (stage, _, cookie, token) = acting().await;
    let answer = stage.send("POST", "/console/logout", &[("cookie", &cookie)], &format!("form_token={token}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("gastown_console=; Path=/console; Max-Age=0"));
}
