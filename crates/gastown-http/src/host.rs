//! The check of the header `host` ([RFC 9112, section 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)).

use axum::response::Response;
use http::{HeaderMap, Request, Version, header, uri::Authority};

use crate::{reason::Reason, trpc};

/// Refuses a request that does not name exactly one host. HTTP/1.0 requires none, and HTTP/2 names it in `:authority`.
#[expect(clippy::result_large_err, reason = "the signature of the layer")]
pub(crate) fn check<B>(request: &mut Request<B>) -> Result<(), Response> {
    let named = match request.version() {
        Version::HTTP_2 if request.uri().authority().is_some() => hosts(request.headers()) <= 1,
        Version::HTTP_09 | Version::HTTP_10 if hosts(request.headers()) == 0 => true,
        _ => hosts(request.headers()) == 1 && is_valid(request.headers()),
    };
    let refusal = || Reason::MalformedRequest.error("The request must have exactly one valid Host header");
    if named { Ok(()) } else { Err(trpc::whole_request(&refusal())) }
}

fn hosts(headers: &HeaderMap) -> usize {
    headers.get_all(header::HOST).iter().count()
}

fn is_valid(headers: &HeaderMap) -> bool {
    headers
        .get(header::HOST)
        .is_some_and(|host| Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@')))
}
