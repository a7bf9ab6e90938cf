//! A server on a free loopback port, stopped on drop.

use std::{sync::Arc, time::Duration};

use axum::Router;
use gastown_domain::ports::NoMetrics;
use gastown_http::connections::{self, ConnectionLimits};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) struct Server {
    pub(crate) origin: String,
    pub(crate) stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// Returns limits that no test reaches by chance.
pub(crate) fn wide_limits() -> ConnectionLimits {
    ConnectionLimits {
        max_connections: 1000,
        max_per_address: 1000,
        head_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(30),
        stream_timeout: Duration::from_secs(60),
    }
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        Self::within(router, wide_limits()).await
    }

    pub(crate) async fn within(router: Router, limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            connections::serve(listener, router, limits, Arc::new(NoMetrics), stopped).await.unwrap();
        });
        Self { origin, stop, serving }
    }

    pub(crate) fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.origin)
    }

    pub(crate) fn address(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.serving.is_finished()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap()
}
