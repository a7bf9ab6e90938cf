//! The endpoint for Prometheus, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use gastown::{PrometheusMetrics, local_url, metrics};
use gastown_domain::ports::NoMetrics;
use gastown_http::connections::{self, ConnectionLimits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::MetricsConfig;
use crate::control_plane::{address_of, bind_port};
use crate::start_error::StartError;

/// The connections of scrapers at a time. They are apart from those of users.
const MAX_CONNECTIONS: usize = 8;
/// Those of one address. One host with slow requests does not shut out the others.
const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 2;
/// The time for a request, for an idle connection and for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The endpoint, bound and not served yet.
pub(crate) struct MetricsEndpoint {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    /// The counts.
    pub(crate) metrics: Arc<PrometheusMetrics>,
    /// The interval at which the registry is counted.
    pub(crate) every: Duration,
}

impl MetricsEndpoint {
    /// Binds the endpoint, if one is configured.
    pub(crate) async fn bind(config: &MetricsConfig) -> Result<Option<Self>, StartError> {
        let Some(listen) = &config.listen else { return Ok(None) };
        let listener = bind_port(&listen.host, listen.port).await?;
        let address = address_of(&listener, &listen.host, listen.port)?;
        let metrics = Arc::new(PrometheusMetrics::new()?);
        let router = metrics::endpoint(Arc::clone(&metrics), config.token.clone());
        Ok(Some(Self { listener, address, router, metrics, every: config.every }))
    }

    /// Returns the URL of the metrics for programs on this machine.
    pub(crate) fn url(&self) -> String {
        format!("{}/metrics", local_url(self.address))
    }

    /// Serves until `stop` is cancelled.
    pub(crate) async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let limits = ConnectionLimits {
            max_connections: MAX_CONNECTIONS,
            max_per_address: MAX_PER_ADDRESS,
            head_timeout: TIMEOUT,
            idle_timeout: 2 * TIMEOUT,
            write_timeout: TIMEOUT,
            stream_timeout: 3 * TIMEOUT,
        };
        connections::serve(self.listener, self.router, limits, Arc::new(NoMetrics), stop).await
    }
}
