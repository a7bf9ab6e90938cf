use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use gastown_domain::ports::{HomeCalls, Readiness, Towns, UserTokens, Users};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio_util::task::TaskTracker;
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tracing::Span;

use crate::{
    probes, procedures,
    trpc::{self, CallError},
};

/// How much longer the whole request may take than its calls, so that the calls' own `TIMEOUT` comes first.
const BACKSTOP: Duration = Duration::from_secs(5);

/// What the adapter works with.
#[derive(Clone)]
pub struct HttpParts {
    /// The operations.
    pub towns: Arc<dyn Towns>,
    /// What sandboxes call home for.
    pub home: Arc<dyn HomeCalls>,
    /// Verifies users' tokens.
    pub tokens: Arc<dyn UserTokens>,
    /// Who is known, and with which pepper.
    pub users: Arc<dyn Users>,
    /// Whether work can be done.
    pub readiness: Arc<dyn Readiness>,
    /// Owns the calls in progress. Close it and wait for it to shut down without cutting a mutation off.
    pub tasks: TaskTracker,
    /// Limits and origins.
    pub settings: HttpSettings,
}

/// What is configured about HTTP.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// What a request may cost.
    pub trpc: trpc::Settings,
    /// Origins whose pages may call from a browser, such as `https://app.example.com`. Empty: none.
    pub allowed_origins: Vec<HeaderValue>,
    /// How long the database may take to answer `/readyz`.
    pub readiness_limit: Duration,
}

/// The whole adapter: `/trpc/<procedure>`, `/healthz` and `/readyz`, with limits, request ids and traces.
pub fn router(parts: HttpParts) -> Router {
    let settings = parts.settings.clone();
    let trpc = trpc::service(procedures(&parts), settings.trpc.clone(), parts.tasks.clone());
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(request_span)
                .on_request(())
                .on_response(log_response)
                .on_body_chunk(())
                .on_eos(())
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CatchPanicLayer::custom(|_| trpc::whole_request(&CallError::internal())))
        .layer(option_layer(cors(settings.allowed_origins)))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            settings.trpc.time_limit.saturating_add(BACKSTOP),
        ));
    probes::routes(parts.readiness, settings.readiness_limit).nest_service("/trpc", trpc).layer(layers)
}

/// Says which request, never what it carries: no headers, no query string, no body.
fn request_span(request: &Request<Body>) -> Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!(
        "request",
        http.method = %request.method(),
        http.path = request.uri().path(),
        http.request_id = id,
    )
}

fn log_response<B>(response: &Response<B>, elapsed: Duration, _: &Span) {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(http.status = response.status().as_u16(), elapsed_ms, "answered");
}

fn cors(origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    let request_id = HeaderName::from_static("x-request-id");
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("trpc-accept"),
                request_id.clone(),
            ])
            .expose_headers([request_id])
            .max_age(Duration::from_secs(3600))
    })
}
