//! Behaviour on a real socket: deadlines, sizes, redirects, and the token.

use std::{
    error::Error,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gastown_fly::{
    AnswerSizes, BaseUrl, FlyClient, FlyError, HttpsTransport, RateLimiting, Refusal, Timeouts,
    api::{self, apps::App, machines},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const CANARY: &str = "fo1_canary-7d1f";

/// The server's behaviour on each connection after it has read a request.
#[derive(Clone)]
enum Behaviour {
    Answer(String),
    HangUp,
    Hang,
    Endless,
}

/// The client's deadline for a server that answers, and for one that does not.
const GENEROUS: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(600);

struct Server {
    address: SocketAddr,
    timeout: Duration,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn with(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let timeout = if matches!(behaviour, Behaviour::Hang) { SHORT } else { GENEROUS };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour.clone(), seen.clone()));
            }
        });
        Self { address, timeout, requests }
    }

    fn client(&self) -> FlyClient {
        let timeouts = Timeouts { connect: GENEROUS, call: self.timeout };
        FlyClient::new(self.base(), &SecretString::from(CANARY), timeouts, RateLimiting::Off).unwrap()
    }

    fn client_reading(&self, sizes: AnswerSizes) -> FlyClient {
        let token = SecretString::from(CANARY);
        let transport = HttpsTransport::new(self.base(), &token, Timeouts::default(), sizes).unwrap();
        FlyClient::over(Arc::new(transport), RateLimiting::Off)
    }

    fn base(&self) -> BaseUrl {
        format!("http://{}", self.address).parse().unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0_u8; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match behaviour {
        Behaviour::Answer(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Behaviour::HangUp => {}
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[").await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Behaviour {
    let length = body.len();
    Behaviour::Answer(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"
    ))
}

fn chain(error: &FlyError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, " < {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn the_token_is_sent_in_its_header_only() {
    let server = Server::with(answer("200 OK", "fly-request-id: 01REQ\r\n", r#"{"name":"mill"}"#)).await;
    let app: App = server.client().fetch(&api::apps::get("mill")).await.unwrap();
    assert_eq!(app.name, "mill");
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /v1/apps/mill HTTP/1.1\r\n"), "{requests:?}");
    let holding: Vec<&str> = requests[0].lines().filter(|line| line.contains(CANARY)).collect();
    assert_eq!(holding, [format!("authorization: Bearer {CANARY}")]);
}

#[tokio::test]
async fn a_call_to_a_server_that_hangs_ends_at_the_deadline() {
    let server = Server::with(Behaviour::Hang).await;
    let began = Instant::now();
    let error = server.client().send(&machines::start("mill", "m1")).await.unwrap_err();
    assert!(matches!(error, FlyError::Lost { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_servers_wait_is_added_to_the_deadline() {
    let server = Server::with(Behaviour::Hang).await;
    let began = Instant::now();
    let wait = machines::wait("mill", "m1", machines::WaitFor::Started, None, Duration::from_secs(1));
    let error = server.client().send(&wait).await.unwrap_err();
    assert!(matches!(error, FlyError::Lost { .. }), "{error:?}");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_endless_answer_is_lost() {
    let server = Server::with(Behaviour::Endless).await;
    let client = server.client_reading(AnswerSizes { one: 10_000, list: 100_000 });
    let one = client.fetch::<machines::Machine>(&machines::get("mill", "m1")).await.unwrap_err();
    let list = client.fetch::<Vec<machines::Machine>>(&machines::list("mill", None)).await.unwrap_err();
    for (error, limit) in [(one, 10_000), (list, 100_000)] {
        let text = chain(&error);
        assert!(matches!(error, FlyError::Lost { .. }), "{text}");
        assert!(text.contains(&format!("larger than {limit} bytes")), "{text}");
    }
}

#[tokio::test]
async fn a_list_of_thousands_of_machines_is_read() {
    let machine =
        json!({ "id": "148ed21a031189", "state": "started", "config": { "env": { "A": "x".repeat(5_000) } } });
    let list = Value::Array(vec![machine; 3_000]).to_string();
    let server = Server::with(answer("200 OK", "", &list)).await;
    let client = server.client_reading(AnswerSizes::default());
    let read: Vec<machines::Machine> = client.fetch(&machines::list("mill", None)).await.unwrap();
    assert_eq!(read.len(), 3_000);
}

#[tokio::test]
async fn a_broken_connection_is_lost_and_a_refused_one_is_not_sent() {
    let server = Server::with(Behaviour::HangUp).await;
    let error = server.client().send(&machines::start("mill", "m1")).await.unwrap_err();
    assert!(matches!(error, FlyError::Lost { .. }), "{error:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let closed = Server { address, timeout: GENEROUS, requests: Arc::default() };
    let error = closed.client().send(&machines::start("mill", "m1")).await.unwrap_err();
    assert!(matches!(error, FlyError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::with(answer("200 OK", "", "{}")).await;
    let location = format!("location: http://{}/v1/apps/mill\r\n", elsewhere.address);
    let server = Server::with(answer("307 Temporary Redirect", &location, "")).await;
    let error = server.client().send(&api::apps::get("mill")).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::Unrecognised));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn bodies_without_json_are_classified_by_status() {
    for (status, body, want) in [
        ("500 Internal Server Error", "<html>oops</html>", Refusal::ServerError),
        ("502 Bad Gateway", "", Refusal::ServerError),
        ("404 Not Found", "404 page not found", Refusal::NoSuchRoute),
        ("409 Conflict", "{", Refusal::Unrecognised),
    ] {
        let server = Server::with(answer(status, "", body)).await;
        let error = server.client().send(&machines::start("mill", "m1")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&want), "{status} {body:?}");
    }
    let server = Server::with(answer("200 OK", "", "<html>hello</html>")).await;
    let error = server.client().fetch::<App>(&api::apps::get("mill")).await.unwrap_err();
    assert!(matches!(error, FlyError::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    for (header, want) in [
        ("retry-after: 7\r\n", Some(Duration::from_secs(7))),
        ("", None),
        ("retry-after: soon\r\ndate: Mon, 23 Nov 2026 13:45:00 GMT\r\n", None),
        // A date is a pause only with the answer's own date.
        ("retry-after: Mon, 23 Nov 2026 13:45:09 GMT\r\n", None),
        ("retry-after: Mon, 23 Nov 2026 13:45:09 GMT\r\ndate: yesterday\r\n", None),
        (
            "retry-after: Mon, 23 Nov 2026 13:45:09 GMT\r\ndate: Mon, 23 Nov 2026 13:45:00 GMT\r\n",
            Some(Duration::from_secs(9)),
        ),
        ("retry-after: Mon, 23 Nov 2026 13:44:00 GMT\r\ndate: Mon, 23 Nov 2026 13:45:00 GMT\r\n", Some(Duration::ZERO)),
    ] {
        let server = Server::with(answer("429 Too Many Requests", header, "rate limit exceeded")).await;
        let error = server.client().send(&machines::start("mill", "m1")).await.unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::Throttled { retry_after: want }), "{header:?}");
    }
}

#[tokio::test]
async fn no_error_contains_the_token_or_a_body() {
    let echo = format!(r#"{{"error":"bad token {CANARY}","env":{{"KILO_JWT":"nacl:v1:k:canary-body"}}}}"#);
    for behaviour in [
        answer("401 Unauthorized", "", &echo),
        answer("400 Bad Request", "", &echo),
        answer("500 Internal Server Error", "", &echo),
        answer("200 OK", "", &echo),
        Behaviour::HangUp,
        Behaviour::Hang,
    ] {
        let server = Server::with(behaviour).await;
        let client = server.client();
        let error = client.fetch::<App>(&api::apps::get("mill")).await.unwrap_err();
        let text = format!("{} {client:?}", chain(&error));
        assert!(!text.contains("canary"), "{text}");
    }
}
