//! Requests to a program that is a process with an HTTP server of its own.

use std::{error::Error, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use url::form_urlencoded;

use super::Incoming;
use crate::reply::{Content, Reply};

/// The longest time that the proxy waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(330);
/// The largest forwarded answer.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Forwards a request, and answers as the proxy does if the process does not.
pub(super) async fn forward(address: SocketAddr, path: &str, incoming: &Incoming) -> Reply {
    match tokio::time::timeout(TIMEOUT, send(address, path, incoming)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            tracing::debug!(%address, error, "simulated program did not answer");
            Reply::text(502, "connection refused")
        }
        Err(_) => Reply::text(504, "no answer in time"),
    }
}

async fn send(address: SocketAddr, path: &str, incoming: &Incoming) -> Result<Reply, Box<dyn Error + Send + Sync>> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&incoming.query).finish();
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut request =
        Request::builder().method(incoming.method.as_str()).uri(uri).body(Full::new(incoming.body.clone()))?;
    request.headers_mut().clone_from(&incoming.headers);
    request.headers_mut().insert(HOST, address.to_string().parse()?);
    // It ends with the sender, or when the process closes it.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await?.to_bytes();
    Ok(Reply { status, content: content(&body), retry_after: None, fault: None })
}

fn content(body: &Bytes) -> Content {
    if body.is_empty() {
        return Content::Empty;
    }
    serde_json::from_slice(body)
        .map_or_else(|_| Content::Text(String::from_utf8_lossy(body).into_owned()), Content::Json)
}
