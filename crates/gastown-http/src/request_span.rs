//! The span of a request. Every line that is logged for the request carries its fields, so they contain no headers but
//! the ids, no query string and no body.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, header};
use tower_http::request_id::RequestId;
use tracing::{Span, field::Empty};

use crate::{
    headers::single,
    traceparent,
    trpc::{cut, cut_method},
};

/// Opens the span of a request. The protocol records the called procedures in `procedure`.
///
/// Its level is `error`, so that a filter never removes the ids from a line that it lets through.
pub(crate) fn open(request: &Request<Body>) -> Span {
    let request_id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let parent = single(request.headers(), "traceparent").and_then(traceparent::parse);
    let span = tracing::error_span!(
        "request",
        request_id,
        trace_id = parent.map(|parent| parent.trace_id),
        parent_span_id = parent.map(|parent| parent.parent_id),
        http.method = cut_method(request.method()),
        http.path = cut(request.uri().path()),
        procedure = Empty,
    );
    #[cfg(feature = "traces")]
    continue_trace(&span, parent);
    span
}

/// Makes the span a child of the caller's. Without a subscriber of OpenTelemetry it has no effect.
#[cfg(feature = "traces")]
fn continue_trace(span: &Span, parent: Option<traceparent::TraceParent<'_>>) {
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    if let Some(context) = parent.and_then(|parent| parent.context()) {
        let _ = span.set_parent(context);
    }
}

/// Logs the end of a request. For a stream this is its beginning.
///
/// An answer that asks the caller to try again later is logged at `debug`. Otherwise the log grows fastest when the service
/// is overloaded.
pub(crate) fn log_response<B>(response: &Response<B>, elapsed: Duration, _: &Span) {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    if response.headers().contains_key(header::RETRY_AFTER) {
        tracing::debug!(http.status = status, elapsed_ms, "request refused for now");
    } else {
        tracing::info!(http.status = status, elapsed_ms, "request answered");
    }
}
