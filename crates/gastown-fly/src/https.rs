//! The HTTP transport: reqwest with deadlines, without redirects, with bounded answers and a token that is not printed.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::DateTime;
use reqwest::{
    Client, RequestBuilder,
    header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    api::{Call, Method},
    settings::{AnswerSizes, BaseUrl, Timeouts},
    transport::{Reply, Transport, TransportError},
};

/// Fly's id of a request (fly-go reads it).
const REQUEST_ID: &str = "fly-request-id";

/// The Machines API over HTTP.
pub struct HttpsTransport {
    client: Client,
    base: BaseUrl,
    timeouts: Timeouts,
    sizes: AnswerSizes,
}

/// The client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The token is empty, or has characters that are not allowed in a header.
    #[error("the Fly API token cannot be used in a header")]
    Token,
    /// TLS or the resolver cannot be initialised.
    #[error("the HTTP client for Fly cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl HttpsTransport {
    /// Returns a transport with one organization's token.
    pub fn new(
        base: BaseUrl,
        token: &SecretString,
        timeouts: Timeouts,
        sizes: AnswerSizes,
    ) -> Result<Self, SetUpError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization(token)?);
        let builder = Client::builder();
        // A proxy from the environment would read the token of a plain request, and is not meant for a simulator.
        let builder = if base.is_direct() { builder.no_proxy() } else { builder };
        let client = builder
            .default_headers(headers)
            .user_agent(concat!("gastown-cloud/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            // A redirect would carry the token to another host.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(SetUpError::Client)?;
        Ok(Self { client, base, timeouts, sizes })
    }

    fn request(&self, call: &Call) -> Result<RequestBuilder, TransportError> {
        let url = self.url(call)?;
        let request = match call.method() {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
            Method::Delete => self.client.delete(url),
        };
        let mut request = request.timeout(self.timeouts.call + call.server_wait());
        if let Some(body) = call.body() {
            request = request.json(body);
        }
        Ok(request)
    }

    fn url(&self, call: &Call) -> Result<Url, TransportError> {
        // An empty or dotted segment would address the parent: a delete of something else.
        if call.path().iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return Err(TransportError::Malformed);
        }
        let mut url = self.base.as_url().clone();
        url.path_segments_mut().map_err(|()| TransportError::Malformed)?.pop_if_empty().extend(call.path());
        if !call.query().is_empty() {
            url.query_pairs_mut().extend_pairs(call.query());
        }
        Ok(url)
    }
}

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, call: &Call) -> Result<Reply, TransportError> {
        let answer = self.request(call)?.send().await.map_err(not_answered)?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers());
        let request_id = text(answer.headers(), REQUEST_ID).map(str::to_owned);
        let body = read(answer, self.sizes.of(call.action())).await?;
        Ok(Reply { status, retry_after, request_id, body })
    }
}

async fn read(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > limit {
            return Err(TransportError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the pause that `Retry-After` asks for, in seconds or as a date. A date is compared with the answer's `Date`,
/// because our clock may differ from Fly's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(asked).ok()?;
    let now = DateTime::parse_from_rfc2822(text(headers, DATE.as_str())?.trim()).ok()?;
    // A date in the past asks for no pause.
    Some((until - now).to_std().unwrap_or_default())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns the token without the scheme that operators may have pasted with it.
pub(crate) fn without_scheme(token: &SecretString) -> &str {
    let token = token.expose_secret().trim();
    token.strip_prefix("FlyV1 ").or_else(|| token.strip_prefix("Bearer ")).unwrap_or(token)
}

/// Returns the header's value. Macaroons have a scheme of their own, as in Fly's client; other tokens are bearer tokens.
fn authorization(token: &SecretString) -> Result<HeaderValue, SetUpError> {
    let bare = without_scheme(token);
    let token = token.expose_secret().trim();
    if token.is_empty() {
        return Err(SetUpError::Token);
    }
    let macaroon = bare
        .split(',')
        .any(|piece| ["fm1r_", "fm1a_", "fm2_"].iter().any(|prefix| piece.trim_start().starts_with(prefix)));
    let scheme = if macaroon { "FlyV1" } else { "Bearer" };
    let mut value = HeaderValue::from_str(&format!("{scheme} {bare}")).map_err(|_| SetUpError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn not_answered(error: reqwest::Error) -> TransportError {
    let connecting = error.is_connect() || error.is_builder();
    let cause = Box::new(error.without_url());
    if connecting { TransportError::NotSent { cause } } else { TransportError::Lost { cause } }
}

fn lost(error: reqwest::Error) -> TransportError {
    TransportError::Lost { cause: Box::new(error.without_url()) }
}

impl fmt::Debug for HttpsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsTransport")
            .field("base", &self.base)
            .field("timeouts", &self.timeouts)
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::machines;

    const CANARY: &str = "fo1_canary-7d1f";

    fn transport(base: &str, token: &str) -> HttpsTransport {
        HttpsTransport::new(
            base.parse().unwrap(),
            &SecretString::from(token),
            Timeouts::default(),
            AnswerSizes::default(),
        )
        .unwrap()
    }

    #[test]
    fn macaroons_have_their_own_scheme() {
        for (token, want) in [
            ("fo1_abc", "Bearer fo1_abc"),
            ("Bearer abc", "Bearer abc"),
            ("fm2_abc,fm1r_def", "FlyV1 fm2_abc,fm1r_def"),
            ("FlyV1 fm2_abc,fo1_def", "FlyV1 fm2_abc,fo1_def"),
            (" fm1a_x\n", "FlyV1 fm1a_x"),
        ] {
            let value = authorization(&SecretString::from(token)).unwrap();
            assert_eq!(value.to_str().unwrap(), want, "{token:?}");
            assert!(value.is_sensitive(), "{token:?}");
        }
    }

    #[test]
    fn a_token_that_is_not_a_header_value_is_refused() {
        for token in ["", "  ", "a\nb", "a\0b"] {
            let refused = authorization(&SecretString::from(token));
            assert!(matches!(refused, Err(SetUpError::Token)), "{token:?}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_token() {
        let transport = transport("http://127.0.0.1:1", CANARY);
        let request = transport.request(&machines::get("mill", "e28650")).unwrap();
        let printed = format!("{transport:?} {transport:#?} {:?} {request:?} {:?}", transport.client, request);
        assert!(!printed.contains(CANARY), "{printed}");
    }

    #[test]
    fn ids_are_encoded_in_the_path() {
        let transport = transport("http://127.0.0.1:1/proxy/v1/", CANARY);
        let url = transport.url(&machines::get("mill", "a/../b?c#d")).unwrap();
        assert_eq!(url.path(), "/proxy/v1/apps/mill/machines/a%2F..%2Fb%3Fc%23d");
        for id in ["", ".", ".."] {
            let refused = transport.url(&machines::destroy("mill", id));
            assert!(matches!(refused, Err(TransportError::Malformed)), "{id:?}");
        }
    }
}
