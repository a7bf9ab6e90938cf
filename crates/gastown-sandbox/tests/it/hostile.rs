//! Answers of other servers, and of unhealthy sandboxes.

use std::{
    error::Error,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use gastown_domain::{
    SandboxRig,
    ports::{SandboxError, Sandboxes},
};
use gastown_sandbox::SandboxClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::double::{KEY, TOWN, address, client, client_within, problem, serve};

/// Starts a server with one answer for every request.
async fn always(status: u16, body: &'static str) -> SandboxClient {
    answering(move || (StatusCode::from_u16(status).unwrap(), body).into_response()).await
}

async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> SandboxClient {
    client(serve(Router::new().fallback(move || std::future::ready(answer()))).await)
}

fn rig() -> SandboxRig {
    SandboxRig {
        name: "app".parse().unwrap(),
        repo: "https://github.com/a/b".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
    }
}

/// Returns the error of every call. Panics when one succeeds.
async fn errors(client: &SandboxClient) -> Vec<SandboxError> {
    let at = address();
    vec![
        client.health(&at).await.unwrap_err(),
        client.rigs(&at).await.unwrap_err(),
        client.add_rig(&at, &rig()).await.unwrap_err(),
        client.remove_rig(&at, &rig().name, false).await.unwrap_err(),
        client.sync(&at).await.unwrap_err(),
    ]
}

fn chain(error: &SandboxError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " < {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn answer_of_another_towns_sandbox_is_rejected() {
    for body in [
        r#"{"status":"ok","townId":"0190a1b2-c3d4-7e5f-8a9b-ffffffffffff"}"#,
        r#"{"status":"ok"}"#,
        r#"{"status":"ok","townId":null}"#,
        r#"{"status":"starting","townId":"0190a1b2-c3d4-7e5f-8a9b-ffffffffffff"}"#,
    ] {
        let error = always(200, body).await.health(&address()).await.unwrap_err();
        assert!(matches!(error, SandboxError::Wrong { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn unhealthy_differs_from_unreachable() {
    let unwell = format!(r#"{{"status":"broken","townId":"{TOWN}"}}"#).leak();
    let error = always(200, unwell).await.health(&address()).await.unwrap_err();
    assert!(matches!(error, SandboxError::Unhealthy { .. }), "{error:?}");
    let starting = answering(|| problem(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "starting")).await;
    for error in errors(&starting).await {
        assert!(matches!(error, SandboxError::Unhealthy { .. }), "{error:?}");
    }
    for status in [404, 500, 502, 503, 504] {
        for error in errors(&always(status, "proxy says no").await).await {
            assert!(matches!(error, SandboxError::Unreachable { .. }), "{status}: {error:?}");
        }
    }
}

#[tokio::test]
async fn invalid_body_with_status_200_is_an_error_of_every_call() {
    for body in ["", "null", "[]", "{", "<html>canary-body</html>", r#"{"rigs":[{"name":"../x"}]}"#, r#"{"rigs":7}"#] {
        for error in errors(&always(200, body).await).await {
            assert!(matches!(error, SandboxError::Wrong { .. }), "{body:?}: {error:?}");
            assert!(!chain(&error).contains("canary-body"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn invalid_rig_does_not_hide_others() {
    let body = r#"{"rigs":[
        {"name":"by-hand","repoUrl":"https://github.com/a/b","branch":"main"},
        {"name":"local","repoUrl":"file:///srv/git","branch":"main"},
        {"name":"app","repoUrl":"https://github.com/octocat/hello-world.git","branch":"main"},
        {"name":"odd","repoUrl":"https://github.com/a/b","branch":"-b"}]}"#;
    let rigs = always(200, body).await.rigs(&address()).await.unwrap();
    assert_eq!(rigs.iter().map(|rig| rig.name.as_str()).collect::<Vec<_>>(), ["app"]);
}

#[tokio::test]
async fn confirmation_of_another_rig_is_an_error() {
    let other = r#"{"name":"app","repoUrl":"https://github.com/a/other","branch":"main"}"#;
    let error = always(201, other).await.add_rig(&address(), &rig()).await.unwrap_err();
    assert!(matches!(error, SandboxError::Wrong { .. }), "{error:?}");
}

#[tokio::test]
async fn endless_answer_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0_u8; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[").await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    });
    let error = client(at).rigs(&address()).await.unwrap_err();
    assert!(matches!(error, SandboxError::Wrong { .. }), "{error:?}");
    assert!(chain(&error).contains("larger than 1048576 bytes"), "{error:?}");
}

#[tokio::test]
async fn hanging_sandbox_times_out_on_every_call() {
    let at = serve(Router::new().fallback(std::future::pending::<()>)).await;
    let hanging = client_within(at, Duration::from_millis(500));
    let began = Instant::now();
    for error in errors(&hanging).await {
        assert!(matches!(error, SandboxError::Unreachable { .. }), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    for error in errors(&client(nowhere)).await {
        assert!(matches!(error, SandboxError::Unreachable { .. }), "{error:?}");
        assert!(!chain(&error).contains(KEY), "{error:?}");
    }
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    let elsewhere = serve(Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready("{}")
    }))
    .await;
    let location = format!("http://{elsewhere}/");
    let sandbox =
        answering(move || (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location.clone())]).into_response())
            .await;
    for error in errors(&sandbox).await {
        assert!(matches!(error, SandboxError::Wrong { .. }), "{error:?}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}
