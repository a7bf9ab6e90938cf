//! The limits of connections, over real sockets: silent, slow and idle clients, HTTP/2, and too many of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures::{StreamExt as _, future::join_all};
use gastown_http::connections::ConnectionLimits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::server::{Server, client, wide_limits};

const SHORT: Duration = Duration::from_millis(300);
/// Far longer than every limit of these tests.
const PATIENCE: Duration = Duration::from_secs(15);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

fn short_limits() -> ConnectionLimits {
    ConnectionLimits { head_timeout: SHORT, idle_timeout: 2 * SHORT, write_timeout: SHORT, ..wide_limits() }
}

fn app() -> Router {
    Router::new().route("/healthz", get(|| async { "alive" })).route("/other", get(|| async { "other" }))
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

/// Reads until the server closes, and returns what it sent and when it closed.
async fn until_closed(mut socket: TcpStream) -> (String, Duration) {
    let (begun, mut answer) = (Instant::now(), Vec::new());
    // A reset is an end too.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the connection stays open");
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

/// Reads the answer to `/healthz`, which is shorter than a read.
async fn read_answer(socket: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let read = timeout(PATIENCE, socket.read(&mut answer)).await.expect("no answer").unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn connections_that_send_no_whole_head_are_closed() {
    let server = Server::within(app(), short_limits()).await;
    let started = [PREFACE, SETTINGS].concat();
    let starts: [&[u8]; 6] = [b"", b"G", b"GET /healthz HTTP/1.1\r\nhost: x\r\n", &PREFACE[..10], PREFACE, &started];
    let closings = starts.iter().flat_map(|start| std::iter::repeat_n(*start, 100)).map(async |start| {
        let mut socket = connect(&server).await;
        socket.write_all(start).await.unwrap();
        until_closed(socket).await.1
    });
    for closed in join_all(closings).await {
        assert!(closed >= SHORT / 2 && closed < PATIENCE, "{closed:?}");
    }
}

#[tokio::test]
async fn slow_head_is_closed_although_its_bytes_keep_coming() {
    let server = Server::within(app(), short_limits()).await;
    let (mut reading, mut writing) = connect(&server).await.into_split();
    let drip = tokio::spawn(async move {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, reading.read_to_end(&mut answer)).await.expect("the connection stays open");
    assert!(answer.is_empty());
    drip.abort();
}

#[tokio::test]
async fn idle_connection_is_kept_for_its_time_only() {
    let server = Server::within(app(), short_limits()).await;
    let mut socket = connect(&server).await;
    for _ in 0..3 {
        socket.write_all(REQUEST).await.unwrap();
        assert!(read_answer(&mut socket).await.starts_with("HTTP/1.1 200"));
        // Longer than a head may take, shorter than a connection may be idle.
        sleep(SHORT + SHORT / 3).await;
    }
    socket.write_all(REQUEST).await.unwrap();
    let (answer, closed) = until_closed(socket).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(closed >= 2 * SHORT, "{closed:?}");
}

#[tokio::test]
async fn second_head_has_the_time_of_a_head() {
    let limits = ConnectionLimits { idle_timeout: PATIENCE * 2, ..short_limits() };
    let server = Server::within(app(), limits).await;
    let mut socket = connect(&server).await;
    socket.write_all(REQUEST).await.unwrap();
    read_answer(&mut socket).await;
    socket.write_all(b"GET /heal").await.unwrap();
    until_closed(socket).await;
}

#[tokio::test]
async fn idle_connection_of_http2_is_closed() {
    let server = Server::within(app(), short_limits()).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for _ in 0..2 {
        let answer = client.get(server.url("/healthz")).send().await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 200));
        assert_eq!(answer.text().await.unwrap(), "alive");
    }
    // A client of HTTP/2 that never answers anything, after one request in HPACK: GET / http, authority x.
    let mut socket = connect(&server).await;
    let headers = [0x82, 0x84, 0x86, 0x41, 0x01, b'x'];
    let frame = [&[0, 0, 6, 1, 5, 0, 0, 0, 1], headers.as_slice()].concat();
    socket.write_all(&[PREFACE, SETTINGS, &frame].concat()).await.unwrap();
    let closed = until_closed(socket).await.1;
    assert!(closed >= 2 * SHORT, "{closed:?}");
}

/// Counts the answers that are in memory.
struct Counted(Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        static ANSWER: [u8; 16 * 1024 * 1024] = [0; 16 * 1024 * 1024];
        &ANSWER
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn large(count: &Arc<AtomicUsize>) -> Router {
    let count = Arc::clone(count);
    Router::new().route(
        "/large",
        get(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = Bytes::from_owner(Counted(Arc::clone(&count)));
            async move { Body::from(answer) }
        }),
    )
}

async fn until_none(count: &AtomicUsize) {
    let freed = async {
        while count.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, freed).await.expect("answers stay in memory");
}

/// Connects with a small buffer, so that the kernel does not take the answer.
async fn connect_narrow(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.address().parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn answers_that_are_not_read_are_dropped() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::within(large(&count), short_limits()).await;
    let mut readers = Vec::new();
    for _ in 0..10 {
        let mut socket = connect_narrow(&server).await;
        socket.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        readers.push(socket);
    }
    let mut first = [0; 12];
    for reader in &mut readers {
        reader.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    until_none(&count).await;
}

#[tokio::test]
async fn answers_that_are_read_by_the_byte_are_dropped() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::within(large(&count), short_limits()).await;
    let mut socket = connect_narrow(&server).await;
    socket.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let drip = tokio::spawn(async move {
        let mut byte = [0];
        while socket.read_exact(&mut byte).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    sleep(SHORT / 3).await;
    until_none(&count).await;
    drip.abort();
}

/// Sets the initial window of each stream to no bytes.
const NO_WINDOW: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// Returns the frame of GET http /large, authority x.
fn get_large(stream: u8) -> Vec<u8> {
    let headers = [&[0x82, 0x86, 0x44, 0x06], b"/large".as_slice(), &[0x41, 0x01, b'x']].concat();
    [&[0, 0, 13, 1, 5, 0, 0, 0, stream], headers.as_slice()].concat()
}

#[tokio::test]
async fn stream_of_http2_without_a_window_is_not_kept_by_others() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::within(large(&count), short_limits()).await;
    let mut socket = connect(&server).await;
    socket.write_all(&[PREFACE, &NO_WINDOW].concat()).await.unwrap();
    let began = Instant::now();
    for stream in (1..=u8::MAX).step_by(2) {
        if socket.write_all(&get_large(stream)).await.is_err() {
            break;
        }
        sleep(SHORT / 4).await;
    }
    assert!(began.elapsed() < 20 * SHORT, "the connection was kept for {:?}", began.elapsed());
    until_none(&count).await;
}

#[tokio::test]
async fn streams_of_http2_without_a_window_are_dropped() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::within(large(&count), short_limits()).await;
    let mut socket = connect(&server).await;
    socket.write_all(&[PREFACE, &NO_WINDOW, &get_large(1)].concat()).await.unwrap();
    let mut first = [0; 9];
    timeout(PATIENCE, socket.read_exact(&mut first)).await.unwrap().unwrap();
    sleep(SHORT / 3).await;
    until_none(&count).await;
    until_closed(socket).await;
}

#[tokio::test]
async fn patient_reader_of_a_large_answer_gets_all_of_it() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::within(large(&count), short_limits()).await;
    let mut answer = client().get(server.url("/large")).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(16 * 1024 * 1024));
    let mut read = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        read += chunk.len();
        if read % 37 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(read, 16 * 1024 * 1024);
}

#[tokio::test]
async fn slow_service_is_not_a_slow_reader() {
    let slow = Router::new().route(
        "/slow",
        get(|| async {
            sleep(4 * SHORT).await;
            let parts = futures::stream::iter(["one", "two"]).then(async |part| {
                sleep(3 * SHORT).await;
                Ok::<_, std::io::Error>(part)
            });
            Body::from_stream(parts)
        }),
    );
    let server = Server::within(slow, short_limits()).await;
    for client in [client(), reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()] {
        let answer = client.get(server.url("/slow")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "onetwo");
    }
}

#[tokio::test]
async fn probes_are_answered_when_all_connections_are_taken() {
    let limits = ConnectionLimits { max_connections: 20, ..wide_limits() };
    let server = Server::within(app(), limits).await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(connect(&server).await);
    }
    for (path, status) in [("/healthz", 200), ("/other", 503), ("/healthz", 200)] {
        let answer = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        if status == 503 {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert!(answer.text().await.unwrap().contains("SERVICE_UNAVAILABLE"));
        }
    }
    drop(held);
    let free = async {
        while client().get(server.url("/other")).send().await.is_ok_and(|answer| answer.status() != 200) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the places are not released");
}

#[tokio::test]
async fn connections_beyond_the_limit_of_their_address_are_closed() {
    let limits = ConnectionLimits { max_per_address: 3, ..wide_limits() };
    let server = Server::within(app(), limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = connect(&server).await;
        socket.write_all(REQUEST).await.unwrap();
        assert!(read_answer(&mut socket).await.starts_with("HTTP/1.1 200"));
        held.push(socket);
    }
    assert_eq!(until_closed(connect(&server).await).await.0, "");
}

#[tokio::test]
async fn head_of_more_than_32_kilobytes_is_refused() {
    let server = Server::start(app()).await;
    for (length, status) in [(30 * 1024, "HTTP/1.1 200"), (33 * 1024, "HTTP/1.1 431")] {
        let mut socket = connect(&server).await;
        let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(length));
        socket.write_all(head.as_bytes()).await.unwrap();
        assert!(read_answer(&mut socket).await.starts_with(status), "{length}");
    }
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (length, status) in [(15 * 1024, 200), (33 * 1024, 431)] {
        let request = client.get(server.url("/healthz")).header("x-long", "x".repeat(length));
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{length}");
    }
}

#[tokio::test]
async fn shutdown_ends_idle_and_new_connections_at_once() {
    let server = Server::start(app()).await;
    let mut idle = connect(&server).await;
    idle.write_all(REQUEST).await.unwrap();
    read_answer(&mut idle).await;
    let mut partial = connect(&server).await;
    partial.write_all(b"GET /heal").await.unwrap();
    let mut half = connect(&server).await;
    half.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let silent = connect(&server).await;
    sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    let ended = async {
        while !server.has_stopped() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), ended).await.expect("the shutdown waits for clients that do nothing");
    drop((idle, partial, half, silent));
}
