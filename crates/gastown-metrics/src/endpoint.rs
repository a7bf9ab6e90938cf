//! The endpoint for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::PrometheusMetrics;

/// How long a text is the answer to further requests.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The format of the answer.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns a router that answers `GET /metrics`. With a token, only for callers that have it as a bearer token.
///
/// The text is made once a second at most, however many requests there are.
pub fn endpoint(metrics: Arc<PrometheusMetrics>, token: Option<SecretString>) -> Router {
    let pages = Arc::new(Pages { metrics, token, latest: Mutex::new(None) });
    Router::new().route("/metrics", get(answer)).with_state(pages)
}

struct Pages {
    metrics: Arc<PrometheusMetrics>,
    token: Option<SecretString>,
    latest: Mutex<Option<(Instant, Bytes)>>,
}

impl Pages {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let wanted = format!("Bearer {}", token.expose_secret());
        given.ct_eq(wanted.as_bytes()).into()
    }

    async fn text(&self) -> Bytes {
        let mut latest = self.latest.lock().await;
        match latest.as_ref() {
            Some((at, text)) if at.elapsed() < MAX_AGE => text.clone(),
            _ => {
                let text = Bytes::from(self.metrics.render());
                *latest = Some((Instant::now(), text.clone()));
                text
            }
        }
    }
}

async fn answer(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    if !pages.admits(&headers) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a token is required\n")
            .into_response();
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], pages.text().await).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use gastown_domain::ports::{Measurement, Metrics as _};
    use tower::ServiceExt as _;

    use super::*;

    async fn get_with(router: &Router, path: &str, authorization: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::get(path);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_the_token_opens_the_endpoint() {
        let metrics = Arc::new(PrometheusMetrics::new().unwrap());
        let router = endpoint(Arc::clone(&metrics), Some("metrics-token".into()));
        for wrong in [None, Some(""), Some("metrics-token"), Some("Bearer metrics-toke"), Some("Bearer metrics-token ")]
        {
            let (status, text) = get_with(&router, "/metrics", wrong).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong:?}");
            assert!(!text.contains("gastown_"), "{text}");
        }
        assert_eq!(get_with(&router, "/metrics", Some("Bearer metrics-token")).await.0, StatusCode::OK);
        assert_eq!(get_with(&router, "/", Some("Bearer metrics-token")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(get_with(&endpoint(metrics, None), "/metrics", None).await.0, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn text_is_made_once_a_second_at_most() {
        let metrics = Arc::new(PrometheusMetrics::new().unwrap());
        let router = endpoint(Arc::clone(&metrics), None);
        let before = get_with(&router, "/metrics", None).await.1;
        metrics.record(Measurement::ConnectionRefused);
        assert_eq!(get_with(&router, "/metrics", None).await.1, before);
        tokio::time::advance(MAX_AGE).await;
        let after = get_with(&router, "/metrics", None).await.1;
        assert!(after.contains("gastown_connections_refused_total 1"), "{after}");
    }
}
