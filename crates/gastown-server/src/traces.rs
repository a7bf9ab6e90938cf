//! Exports spans to a collector of OpenTelemetry, as protobuf over HTTP
//! ([OTLP](https://opentelemetry.io/docs/specs/otlp/#otlphttp)).
//!
//! A thread of the SDK collects at most [`QUEUE`] spans and sends them in batches. While the collector does not answer, spans
//! beyond that are dropped. Requests never wait for it.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesConfig;

/// The most spans that wait for an export.
const QUEUE: usize = 4096;
/// The most spans of an export.
const BATCH: usize = 512;
/// The time between exports.
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest time of an export, and of the last one at the end.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two log lines about failed exports.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// The largest answer of a collector that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// The export of spans, until it is shut down.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts the export. Its calls run on this runtime.
    ///
    /// Errors: the address of the collector is not valid.
    pub(crate) fn start(config: &TracesConfig, runtime: Handle) -> Result<Self, ExporterBuildError> {
        let address = format!("{}/v1/traces", config.endpoint);
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(TIMEOUT).build();
        let client = client.map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))?;
        let client =
            CollectorClient { client, headers: config.headers.clone(), runtime, failures: Failures::default() };
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(address).build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder_empty().with_service_name("gastown").with_attribute(version).build();
        let sampler = BoundedByRatio(Sampler::TraceIdRatioBased(config.ratio.0));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Returns the layer that turns the spans of this service into spans of OpenTelemetry.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let own = filter_fn(is_exported).with_max_level_hint(Level::DEBUG);
        let tracer = self.0.tracer("gastown");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_threads(false)
            .with_location(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(own)
    }

    /// Exports the spans that wait, and ends.
    pub(crate) async fn shut_down(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "last traces not exported");
        }
    }
}

/// Returns true for the spans of this service, which include each call to the provider, and for its log lines from `info` on.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let finest = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with("gastown") && *metadata.level() <= finest
}

/// Samples a part of the traces. The flag of a remote caller can leave a trace out. It cannot add one, because a caller need
/// not be authenticated.
#[derive(Debug, Clone)]
struct BoundedByRatio(Sampler);

impl ShouldSample for BoundedByRatio {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.filter(|parent| parent.has_active_span());
        let is_sampled = parent.map(|parent| parent.span().span_context().is_sampled());
        let mut result = self.0.should_sample(parent, trace, name, kind, attributes, links);
        if is_sampled == Some(false) {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

/// Sends exports on the runtime of the service. The thread of the SDK waits for them.
#[derive(Debug)]
struct CollectorClient {
    client: reqwest::Client,
    headers: Vec<(HeaderName, HeaderValue)>,
    runtime: Handle,
    failures: Failures,
}

#[async_trait]
impl HttpClient for CollectorClient {
    /// Sends an export with the configured headers alone. The SDK repeats it if the status or the error may pass.
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The SDK adds headers of the environment, which are not checked.
        let content_type = request.headers_mut().remove(CONTENT_TYPE);
        request.headers_mut().clear();
        request.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
        request.headers_mut().extend(self.headers.iter().cloned());
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await?;
        match &sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.failures.log(&format!("the collector answered {}", answer.status())),
            Err(error) => self.failures.log(&causes(error.as_ref())),
        }
        sent
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err("the answer of the collector is too large".into());
        }
        body.extend_from_slice(&part);
    }
    Ok(Response::builder().status(answer.status()).body(body.into())?)
}

/// Failed attempts of exports, which are logged once in a while.
#[derive(Debug, Default)]
struct Failures(Mutex<Unlogged>);

#[derive(Debug, Default)]
struct Unlogged {
    attempts: u64,
    logged_at: Option<Instant>,
}

impl Failures {
    fn log(&self, error: &str) {
        let mut unlogged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unlogged.attempts += 1;
        if unlogged.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            let Unlogged { attempts, .. } =
                std::mem::replace(&mut *unlogged, Unlogged { attempts: 0, logged_at: Some(Instant::now()) });
            tracing::warn!(error, attempts, "traces not exported");
        }
    }
}

/// Returns an error with all of its causes.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
