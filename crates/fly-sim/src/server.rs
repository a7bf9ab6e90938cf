//! HTTP on a local port. Written on hyper, for a fault must be able to close a connection without an answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming as WireBody, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gateway::{Dropped, Gateway, Incoming},
    reply::{Content, Reply},
};

/// Larger bodies are refused with 413.
const LARGEST_BODY: usize = 4 << 20;
/// How long the listener rests when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `cancel`; every connection and every call is a task of `tracker`.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, tracker: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = gateway.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tracker.spawn(connection(stream, gateway.clone(), tracker.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, gateway: Arc<Gateway>, tracker: TaskTracker) {
    let cancel: CancellationToken = gateway.cancel.clone();
    let service = service_fn(move |request| exchange(request, gateway.clone(), tracker.clone()));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = cancel.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// One request and its answer. The call runs in a task of its own: who hangs up cancels nothing.
async fn exchange(
    request: Request<WireBody>,
    gateway: Arc<Gateway>,
    tracker: TaskTracker,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(rendered(Reply::text(413, "the body is too large")));
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
        Ok(Ok(reply)) => Ok(rendered(reply)),
        Ok(Err(dropped)) => Err(dropped),
        Err(_) => Ok(rendered(Reply::text(500, "the simulator failed"))),
    }
}

fn rendered(reply: Reply) -> Response<Full<Bytes>> {
    let (kind, body) = match reply.content {
        Content::Nothing => (None, Bytes::new()),
        Content::Json(value) => (Some("application/json; charset=utf-8"), Bytes::from(value.to_string())),
        Content::Text(text) => (Some("text/plain; charset=utf-8"), Bytes::from(text)),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    if let Some(seconds) = reply.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    response.headers_mut().insert("fly-request-id", request_id());
    response
}

/// A ULID-like id that is different for every answer.
fn request_id() -> header::HeaderValue {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("01SIM{:021}-iad", COUNT.fetch_add(1, Ordering::Relaxed));
    header::HeaderValue::from_str(&id).unwrap_or_else(|_| header::HeaderValue::from_static("01SIM"))
}
