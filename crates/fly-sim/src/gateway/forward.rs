//! Requests to a program that is a process with an HTTP server of its own, such as an attached one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::{Incoming, proxy::Proxied};
use crate::reply::{Content, Reply};

/// The maximum time for an answer.
const TIMEOUT: Duration = Duration::from_secs(330);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// The headers of one connection, which a proxy does not pass on.
const OF_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Returns a client that follows no redirects and uses no proxy.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .pool_max_idle_per_host(0)
        .build()
}

/// Passes a request on, with the headers of Fly's proxy, and returns the answer.
pub(super) async fn forward(
    client: &reqwest::Client,
    program: &Url,
    proxied: &Proxied,
    region: &str,
    incoming: &Incoming,
) -> Reply {
    let Ok(method) = incoming.method.parse::<http::Method>() else {
        return Reply::text(400, "invalid method");
    };
    let mut url = program.clone();
    url.set_path(&format!("{}{}", program.path().trim_end_matches('/'), proxied.path));
    if !incoming.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&incoming.query);
    }
    let mut headers = without_those_of_connection(&incoming.headers);
    for (name, value) in [("fly-client-ip", "127.0.0.1"), ("x-forwarded-for", "127.0.0.1"), ("fly-region", region)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let sent = client.request(method, url).headers(headers).body(incoming.body.clone()).send().await;
    match sent {
        Ok(response) => receive(response).await,
        Err(error) if error.is_timeout() => Reply::text(504, "no answer in time"),
        Err(error) => {
            tracing::debug!(error = %error.without_url(), "simulated program did not answer");
            Reply::text(502, "connection refused")
        }
    }
}

async fn receive(mut response: reqwest::Response) -> Reply {
    let (status, headers) = (response.status().as_u16(), without_those_of_connection(response.headers()));
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Reply::text(502, "the answer of the attached program is too large"),
            Ok(None) => return forwarded(status, headers, body.freeze()),
            Err(_) => return Reply::text(502, "the attached program ended its answer early"),
        }
    }
}

fn forwarded(status: u16, headers: HeaderMap, body: Bytes) -> Reply {
    Reply { status, content: Content::Forwarded { headers: Box::new(headers), body }, retry_after: None, fault: None }
}

fn without_those_of_connection(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
