//! The traces of the binary, as a collector of OpenTelemetry receives them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

use crate::client;
use crate::process::Gastown;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps what it receives.
#[derive(Default, Clone)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Serves on a free port, with this status for each export, and returns the address.
    async fn serve(&self, status: StatusCode) -> String {
        self.serve_answering(status, None).await
    }

    async fn serve_answering(&self, status: StatusCode, location: Option<String>) -> String {
        let received = Arc::clone(&self.0);
        let location: HeaderMap = location.map(|url| (LOCATION, url.parse().unwrap())).into_iter().collect();
        let keep = move |headers: HeaderMap, body: Bytes| async move {
            received.lock().unwrap().push((headers, body));
            (status, location)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(keep))).await });
        url
    }

    fn exports(&self) -> Vec<(HeaderMap, Bytes)> {
        self.0.lock().unwrap().clone()
    }

    /// Returns all spans, with the name of their service.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for (_, body) in self.exports() {
            for of_service in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                let attributes = of_service.resource.unwrap().attributes;
                let name = attributes.into_iter().find(|pair| pair.key == "service.name").unwrap();
                let name = format!("{:?}", name.value.unwrap().value.unwrap());
                let own = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(own.map(|span| (name.clone(), span)));
            }
        }
        spans
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Runs `gastown dev` with a collector, creates a town in a trace, and stops the service. Returns the token.
async fn town_in_a_trace(endpoint: &str, settings: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut all = vec![
        ("TMPDIR".to_owned(), home.path().to_str().unwrap().to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint.to_owned()),
    ];
    all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut service = Gastown::spawn(&["dev", "--user", "alice", "--json"], &all);
    let announced: Value = serde_json::from_str(&service.first_line().await).unwrap();
    let (url, token) = (&announced["url"], announced["users"]["alice"]["token"].as_str().unwrap());
    let answer = client::http()
        .post(format!("{}/trpc/gastown.createTown", url.as_str().unwrap()))
        .bearer_auth(token)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .json(&json!({ "townName": "mill" }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    service.signal(Signal::SIGTERM);
    let ended = service.ended().await;
    assert!(ended.status.success(), "{}", ended.err);
    token.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_of_a_caller_continues_to_the_calls_of_the_provider() {
    let collector = Collector::default();
    let endpoint = collector.serve(StatusCode::OK).await;
    let token = town_in_a_trace(&endpoint, &[("OTEL_EXPORTER_OTLP_HEADERS", "x-key=5vN0pQ8rT2wX4zA6cE1gI3")]).await;

    let spans = collector.spans();
    assert!(spans.iter().all(|(service, _)| service.contains("gastown")), "{spans:?}");
    let spans: Vec<Span> = spans.into_iter().map(|(_, span)| span).collect();
    let of_trace: HashMap<_, _> =
        spans.iter().filter(|span| hex(&span.trace_id) == TRACE).map(|span| (hex(&span.span_id), span)).collect();
    let request = of_trace.values().find(|span| span.name == "request").unwrap();
    assert_eq!(hex(&request.parent_span_id), PARENT);
    // Each call to the provider has a chain of parents up to the request.
    let calls: Vec<_> = of_trace.values().filter(|span| span.name == "provider_call").collect();
    assert!(calls.len() >= 3, "{:?}", of_trace.values().map(|span| &span.name).collect::<Vec<_>>());
    for call in calls {
        let mut names = vec![call.name.as_str()];
        let mut parent = of_trace.get(&hex(&call.parent_span_id));
        while let Some(span) = parent {
            names.push(span.name.as_str());
            parent = of_trace.get(&hex(&span.parent_span_id));
        }
        assert_eq!(names.last(), Some(&"request"), "{names:?}");
        assert!(names.contains(&"reconcile"), "{names:?}");
    }
    for (headers, body) in collector.exports() {
        assert_eq!(headers["x-key"], "5vN0pQ8rT2wX4zA6cE1gI3");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(!text.contains(&token) && !text.contains("5vN0pQ8rT2wX4zA6cE1gI3"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_without_its_collector_works_and_ends() {
    let collector = Collector::default();
    let refusing = collector.serve(StatusCode::SERVICE_UNAVAILABLE).await;
    for endpoint in [refusing.as_str(), "http://127.0.0.1:9"] {
        town_in_a_trace(endpoint, &[]).await;
    }
    assert!(!collector.exports().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ratio_bounds_what_callers_can_record() {
    let collector = Collector::default();
    let endpoint = collector.serve(StatusCode::OK).await;
    town_in_a_trace(&endpoint, &[("OTEL_TRACES_SAMPLER_ARG", "0")]).await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirect_of_a_collector_is_not_followed() {
    let (redirecting, other) = (Collector::default(), Collector::default());
    let target = other.serve(StatusCode::OK).await;
    let endpoint =
        redirecting.serve_answering(StatusCode::TEMPORARY_REDIRECT, Some(format!("{target}/v1/traces"))).await;
    town_in_a_trace(&endpoint, &[("OTEL_EXPORTER_OTLP_HEADERS", "x-key=5vN0pQ8rT2wX4zA6cE1gI3")]).await;
    assert!(!redirecting.exports().is_empty());
    assert_eq!(other.exports(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_decoded_and_no_others_are_sent() {
    let collector = Collector::default();
    let endpoint = collector.serve(StatusCode::OK).await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20dXNlcg=="),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=other,x-other=1"),
    ];
    town_in_a_trace(&endpoint, &settings).await;
    let exports = collector.exports();
    assert!(!exports.is_empty());
    for (headers, _) in exports {
        assert_eq!((&headers["authorization"], headers.get("x-other")), (&"Basic dXNlcg==".parse().unwrap(), None));
    }
}
