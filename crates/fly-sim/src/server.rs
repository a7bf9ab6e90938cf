//! HTTP on a local port. It uses hyper directly, because a fault must be able to close a connection without an answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming as RequestBody, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gateway::{Dropped, Gateway, Incoming},
    reply::{Content, Reply},
};

/// The maximum size of a request body. Larger bodies are refused with 413.
const MAX_BODY: usize = 4 << 20;
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
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
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
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(render(Reply::text(413, "the body is too large")));
    };
    let query = parts.uri.query().unwrap_or_default();
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body: body.to_bytes(),
    };
    let call = tracker.spawn(async move { gateway.answer(incoming).await });
    match call.await {
        Ok(Ok(reply)) => Ok(render(reply)),
        Ok(Err(dropped)) => Err(dropped),
        Err(_) => Ok(render(Reply::text(500, "the simulator failed"))),
    }
}

fn render(reply: Reply) -> Response<Full<Bytes>> {
    let (content_type, body) = match reply.content {
        Content::Empty => (None, Bytes::new()),
        Content::Json(value) => (Some("application/json; charset=utf-8"), Bytes::from(value.to_string())),
        Content::Text(text) => (Some("text/plain; charset=utf-8"), Bytes::from(text)),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    }
    if let Some(seconds) = reply.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    response.headers_mut().insert("fly-request-id", request_id());
    response
}

/// Returns a ULID-like id that is unique in this process.
fn request_id() -> header::HeaderValue {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("01SIM{:021}-iad", COUNT.fetch_add(1, Ordering::Relaxed));
    header::HeaderValue::from_str(&id).unwrap_or_else(|_| header::HeaderValue::from_static("01SIM"))
}
