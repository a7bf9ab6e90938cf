//! Connections on threads of their own, while the runtime of the handlers is busy.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use gastown_domain::ports::{MockTowns, NoMetrics};
use gastown_http::{HandlerRuntime, HttpParts, connections::ConnectionThreads, router};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use crate::{server::wide_limits, world::parts};

const PATIENCE: Duration = Duration::from_secs(15);

/// Starts the whole adapter with threads for its connections.
async fn start() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let app = router(HttpParts { handlers: HandlerRuntime::on(Handle::current()), ..parts(MockTowns::new()) });
    let stopping = stop.clone();
    let served = tokio::spawn(async move {
        let threads = ConnectionThreads::start()?;
        threads.serve(listener, app, wide_limits(), Arc::new(NoMetrics), stopping).await
    });
    tokio::task::yield_now().await;
    (address, stop, served)
}

/// Sends a request in a thread without a runtime, and returns the start of the answer.
fn get(address: SocketAddr, path: &str) -> mpsc::Receiver<String> {
    let (answered, answer) = mpsc::channel();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = [0; 2048];
        let read = socket.read(&mut text).unwrap();
        answered.send(String::from_utf8_lossy(&text[..read]).into_owned())
    });
    answer
}

#[tokio::test]
async fn requests_without_a_handler_are_answered_while_handlers_are_busy() {
    let (address, stop, served) = start().await;
    // The only thread of the handlers waits here.
    let answer = get(address, "/healthz").recv_timeout(PATIENCE).expect("no answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = get(address, "/trpc/gastown.listTowns").recv_timeout(PATIENCE).expect("no answer");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stop.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_with_a_handler_are_answered_by_its_runtime() {
    let (address, stop, served) = start().await;
    let answer = get(address, "/readyz");
    let answer = tokio::task::spawn_blocking(move || answer.recv_timeout(PATIENCE)).await.unwrap().expect("no answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.cancel();
    served.await.unwrap().unwrap();
}
