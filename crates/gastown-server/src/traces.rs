//! Exports spans to a collector of OpenTelemetry, as protobuf over HTTP
//! ([OTLP](https://opentelemetry.io/docs/specs/otlp/#otlphttp)).
//!
//! A thread of the SDK collects at most [`QUEUE`] spans and sends them in batches. While the collector does not answer, spans
//! beyond that are dropped. Requests never wait for it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
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
        let headers = config.headers.iter().cloned().collect();
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).default_headers(headers).build();
        let client = client.map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))?;
        let client = CollectorClient { client, runtime };
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(address).build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("gastown").with_attribute(version).build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.ratio.0)));
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
        tracing_opentelemetry::layer().with_tracer(tracer).with_threads(false).with_filter(own)
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

/// Sends exports on the runtime of the service. The thread of the SDK waits for them.
#[derive(Debug)]
struct CollectorClient {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await?;
        if let Err(error) = &sent {
            tracing::warn!(%error, "traces not exported");
        }
        sent
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err("the answer of the collector is too large".into());
        }
        body.extend_from_slice(&part);
    }
    Ok(Response::builder().status(answer.status()).body(body.into())?)
}
