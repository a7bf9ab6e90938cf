use std::time::Duration;

use axum::Router;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
    validate_request::ValidateRequestHeaderLayer,
};

use crate::{
    host,
    parts::HttpParts,
    probes,
    procedures::procedures,
    request_id, request_span,
    trpc::{self, CallError, Routes},
};

/// The time-out of a whole request beyond that of its calls, so that the calls' own `TIMEOUT` comes first.
const BACKSTOP: Duration = Duration::from_secs(5);

/// The calls of sandboxes as plain routes, because a sandbox need not know tRPC.
const PLAIN: [(&str, &str); 2] =
    [("/api/gastown/heartbeat", "gastown.heartbeat"), ("/api/gastown/refresh-token", "gastown.refreshToken")];

/// The paths around them. An unknown one answers an error of the same form.
const PLAIN_PREFIX: [&str; 3] = ["/api/gastown", "/api/gastown/", "/api/gastown/{*path}"];

/// Builds the whole adapter: `/trpc/<procedure>`, the plain routes of sandboxes, `/healthz` and `/readyz`, with limits,
/// request ids and spans.
pub fn router(parts: HttpParts) -> Router {
    let settings = parts.settings.clone();
    let (running, metrics) = ((parts.tasks.clone(), parts.handlers.clone()), parts.metrics.clone());
    let Routes { trpc, plain } =
        trpc::routes(procedures(&parts), (&PLAIN, &PLAIN_PREFIX), settings.trpc.clone(), running, metrics);
    let inner = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("request panicked");
            trpc::whole_request(&CallError::internal())
        }))
        .layer(ValidateRequestHeaderLayer::custom(host::check))
        .layer(option_layer(cors(settings.allowed_origins)))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            settings.trpc.time_limit.saturating_add(BACKSTOP),
        ));
    let outer = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    let routes = probes::routes(parts.readiness, parts.handlers, settings.readiness_limit, settings.readiness_max_age)
        .merge(plain)
        .nest_service("/trpc", trpc);
    traced(routes.layer(inner)).layer(outer)
}

/// Gives each request of these routes an id and a span, and logs its end. The answer has the id too.
pub fn traced(router: Router) -> Router {
    let layers = ServiceBuilder::new()
        .map_request(request_id::drop_invalid)
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(request_span::open)
                .on_request(())
                .on_response(request_span::log_response)
                .on_body_chunk(())
                .on_eos(())
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::x_request_id());
    router.layer(layers)
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
                // Added by tracing, by Sentry, and by clients of tRPC.
                HeaderName::from_static("traceparent"),
                HeaderName::from_static("tracestate"),
                HeaderName::from_static("baggage"),
                HeaderName::from_static("sentry-trace"),
                HeaderName::from_static("x-trpc-source"),
                HeaderName::from_static("x-requested-with"),
            ])
            .expose_headers([request_id])
            .max_age(Duration::from_secs(3600))
    })
}
