//! HTTP on a local port. It uses hyper directly, because a fault must be able to close a connection without an answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming as RequestBody, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access_log::{AccessLog, Line},
    gateway::{Dropped, Gateway, Incoming},
    reply::{Content, Reply},
    request_body,
    world::World,
};

/// The maximum time for which the head of a request may arrive, also the first one of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The delay before the next accept after a failed one, such as with no free sockets.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Accepts connections until the simulator stops. Connections and calls are tasks of `tracker`.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, tracker: TaskTracker) {
    let cancel = gateway.state.cancel.clone();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tracker.spawn(serve_connection(stream, gateway.clone(), tracker.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, gateway: Arc<Gateway>, tracker: TaskTracker) {
    let cancel: CancellationToken = gateway.state.cancel.clone();
    let service = service_fn(move |request| handle(request, gateway.clone(), tracker.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = cancel.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "connection ended early");
    }
}

/// Handles a request. The call runs in a task of its own, so a client that disconnects does not cancel it.
async fn handle(
    request: Request<RequestBody>,
    gateway: Arc<Gateway>,
    tracker: TaskTracker,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (parts, body) = request.into_parts();
    let call = AnsweredCall::begin(&parts, &gateway);
    let is_control = parts.uri.path().starts_with("/_sim/");
    let max_body = if is_control { request_body::MAX_CONTROL_BODY } else { request_body::MAX_BODY };
    let body = match request_body::receive(body, max_body).await {
        Ok(body) => body,
        Err(refused) => {
            let mut response = call.answer(refused);
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
            return Ok(response);
        }
    };
    let query = parts.uri.query().unwrap_or_default();
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
    };
    let execution = tracker.spawn(async move { gateway.answer(incoming).await });
    match execution.await {
        Ok(Ok(reply)) => Ok(call.answer(reply)),
        Ok(Err(dropped)) => {
            call.log(None, Some(dropped.fault));
            Err(dropped)
        }
        Err(_) => Ok(call.answer(Reply::text(500, "the simulator failed"))),
    }
}

/// A call whose answer is logged.
struct AnsweredCall {
    log: Option<(AccessLog, Arc<Gateway>)>,
    method: String,
    path: String,
    began: Instant,
    request_id: String,
}

impl AnsweredCall {
    fn begin(request: &http::request::Parts, gateway: &Arc<Gateway>) -> Self {
        let log = gateway.access_log.map(|log| (log, gateway.clone()));
        let path = request.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let method = request.method.as_str().to_owned();
        Self { log, method, path, began: Instant::now(), request_id: request_id() }
    }

    fn answer(&self, reply: Reply) -> Response<Full<Bytes>> {
        self.log(Some(reply.status), reply.fault);
        render(reply, &self.request_id)
    }

    fn log(&self, status: Option<u16>, fault: Option<&'static str>) {
        let Some((log, gateway)) = &self.log else { return };
        log.write(&Line {
            at: gateway.state.world.read(World::wall),
            method: &self.method,
            path: &self.path,
            status,
            elapsed: self.began.elapsed(),
            fault,
            request_id: &self.request_id,
        });
    }
}

fn render(reply: Reply, request_id: &str) -> Response<Full<Bytes>> {
    let mut forwarded = http::HeaderMap::new();
    let (content_type, body) = match reply.content {
        Content::Forwarded { headers, body } => {
            forwarded = *headers;
            (None, body)
        }
        Content::Empty => (None, Bytes::new()),
        Content::Json(value) => (Some("application/json; charset=utf-8"), Bytes::from(value.to_string())),
        Content::List(entries) => (Some("application/json; charset=utf-8"), joined(&entries)),
        Content::Text(text) => (Some("text/plain; charset=utf-8"), Bytes::from(text)),
    };
    let mut response = Response::new(Full::new(body));
    *response.headers_mut() = forwarded;
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    }
    if let Some(seconds) = reply.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    if let Ok(id) = header::HeaderValue::from_str(request_id) {
        response.headers_mut().insert("fly-request-id", id);
    }
    response
}

/// Returns a JSON list of entries that are JSON.
fn joined(entries: &[String]) -> Bytes {
    let mut text = String::with_capacity(entries.iter().map(|entry| entry.len() + 1).sum::<usize>() + 2);
    text.push('[');
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(entry);
    }
    text.push(']');
    text.into()
}

/// Returns a ULID-like id that is unique in this process.
fn request_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("01SIM{:021}-iad", COUNT.fetch_add(1, Ordering::Relaxed))
}
