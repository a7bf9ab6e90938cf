//! The connections of the server: their limits, their deadlines, and the places that are kept for probes.
//!
//! Start reading at [`serve`]. `activity.rs` decides when a connection is closed.

mod activity;
mod answer_body;
mod limits;
mod slots;
mod threads;
mod timed_stream;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use gastown_domain::ports::Metrics;
use http::{HeaderValue, Request, Version, header};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto::Builder};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

pub use activity::MIN_PROGRESS;
pub use limits::ConnectionLimits;
pub use threads::ConnectionThreads;

use crate::{
    reason::Reason,
    trpc::{self, ConnectionEnd},
};
use activity::{Activity, CLOSE_TIMEOUT};
use answer_body::AnswerBody;
use slots::{Place, Slots};
use timed_stream::TimedStream;

/// The largest head of a request, in bytes.
const MAX_HEAD: u32 = 32 * 1024;
/// The most requests that one connection of HTTP/2 has in flight.
const MAX_STREAMS: u32 = 64;
/// The bytes of one answer that HTTP/2 buffers before the client takes them.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// The time-outs of a connection that is taken only for a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after a failed accept, which usually means that no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections that are taken beside [`ConnectionLimits::max_connections`]. Leave file descriptors for them.
pub const PROBE_CONNECTIONS: usize = slots::PROBE_CONNECTIONS;

/// Serves HTTP/1.1 and HTTP/2 until `stop` is cancelled, then waits for the requests in flight.
///
/// Beyond the limit in all, a connection can still call `/healthz` and `/readyz` once. Every other request gets 503 there.
///
/// Errors: none at present. A failed accept is logged and repeated.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: ConnectionLimits,
    metrics: Arc<dyn Metrics>,
    stop: CancellationToken,
) -> io::Result<()> {
    let server = Server::new(app, limits, metrics);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => match server.slots.take(peer.ip()) {
                Place::Any(slot) => {
                    let running = server.for_any.clone().run(socket, stop.child_token());
                    drop(tasks.spawn(async move {
                        running.await;
                        drop(slot);
                    }));
                }
                Place::Probe(replaced) => {
                    let running = server.for_probes.clone().run(socket, stop.child_token());
                    drop(tasks.spawn(async move {
                        replaced.run_until_cancelled(running).await;
                        replaced.cancel();
                    }));
                }
                Place::Refused => drop(socket),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to accept connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Returns true for an error of the accepted connection, which says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

struct Server {
    slots: Arc<Slots>,
    for_any: Arc<Connections>,
    for_probes: Arc<Connections>,
}

impl Server {
    fn new(app: Router, limits: ConnectionLimits, metrics: Arc<dyn Metrics>) -> Self {
        let short = ConnectionLimits {
            head_timeout: limits.head_timeout.min(PROBE_TIMEOUT),
            idle_timeout: limits.idle_timeout.min(PROBE_TIMEOUT),
            write_timeout: limits.write_timeout.min(PROBE_TIMEOUT),
            ..limits.clone()
        };
        let slots = Slots::new(Arc::new(limits.clone()), metrics);
        let for_any = Arc::new(Connections::new(app.clone(), limits, false));
        let for_probes = Arc::new(Connections::new(app, short, true));
        Self { slots, for_any, for_probes }
    }
}

/// The connections with the same limits.
struct Connections {
    app: Router,
    limits: Arc<ConnectionLimits>,
    protocol: Builder<Streams>,
    only_probes: bool,
}

impl Connections {
    fn new(app: Router, limits: ConnectionLimits, only_probes: bool) -> Self {
        let mut protocol = Builder::new(Streams { timeout: limits.stream_timeout });
        // The deadline of a head is that of `Activity`, which also covers the first bytes and idle connections.
        protocol.http1().header_read_timeout(None).max_buf_size(MAX_HEAD as usize).keep_alive(!only_probes);
        protocol
            .http2()
            .max_header_list_size(MAX_HEAD)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(MAX_SEND_BUFFER);
        Self { app, limits: Arc::new(limits), protocol, only_probes }
    }

    /// Serves one connection to its end, or until it misses a deadline.
    async fn run(self: Arc<Self>, socket: TcpStream, stop: CancellationToken) {
        let activity = Activity::new(Arc::clone(&self.limits));
        let service = service_fn(|request| self.answer(request, &activity, &stop));
        let stream = TokioIo::new(TimedStream::new(socket, Arc::clone(&activity)));
        let mut connection = std::pin::pin!(self.protocol.serve_connection(stream, service));
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = activity.expired() => break,
                () = stopped.as_mut(), if !draining => {
                    draining = true;
                    activity.drain();
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        tracing::debug!("connection expired");
        connection.as_mut().graceful_shutdown();
        let _ = timeout(CLOSE_TIMEOUT, connection).await;
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        activity: &Arc<Activity>,
        stop: &CancellationToken,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + Send + use<> {
        let is_limited = request.version() == Version::HTTP_2;
        let max_answer = is_limited.then_some(self.limits.stream_timeout);
        request.extensions_mut().insert(ConnectionEnd { stopping: stop.clone(), max_answer });
        let in_flight = activity.start_request(request.version() == Version::HTTP_2);
        let refused = self.only_probes && !["/healthz", "/readyz"].contains(&request.uri().path());
        let app = self.app.clone();
        async move {
            let answer: Response<Body> = if refused { full() } else { app.oneshot(request).await? };
            Ok(answer.map(|body| AnswerBody::new(body, in_flight)))
        }
    }
}

/// Returns the answer to a request on a connection beyond the limit.
fn full() -> Response {
    let error = Reason::Overloaded.error("The service has too many connections; try again in a second");
    let mut answer = trpc::whole_request(&error.retry_after(Duration::from_secs(1)));
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Runs the streams of HTTP/2, each for a limited time.
#[derive(Clone)]
struct Streams {
    timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let limited = timeout(self.timeout, stream);
        drop(tokio::spawn(async move {
            // A stream that is dropped before its end is reset.
            let _ = limited.await;
        }));
    }
}
