//! The settings of the HTTP server.

use std::time::Duration;

use gastown_http::trpc;

use super::http_limits::{self, HttpLimits};
use super::list::List;
use super::listen_host::ListenHost;
use super::origin::Origin;
use super::policy::{DAY, up_to};
use crate::settings_source::Reader;

/// The settings of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `HOST`, by default `0.0.0.0`.
    pub host: ListenHost,
    /// `PORT`, by default 8080. 0 takes a free port.
    pub port: u16,
    /// `CORS_ALLOWED_ORIGINS`: origins whose pages may call from a browser, separated by commas.
    pub allowed_origins: Vec<String>,
    /// `MAX_BODY_BYTES`, by default 1 MiB.
    pub max_body_bytes: usize,
    /// `SHUTDOWN_SECONDS`, by default 25: the grace period of a shutdown for calls in progress.
    pub shutdown: Duration,
    /// The limits of connections and calls.
    pub limits: HttpLimits,
}

pub(super) fn http(reader: &mut Reader<'_>) -> HttpConfig {
    let origins: List<Origin> = reader.or("CORS_ALLOWED_ORIGINS", List(Vec::new()));
    HttpConfig {
        host: reader.or("HOST", ListenHost::UNSPECIFIED),
        port: reader.or("PORT", 8080),
        allowed_origins: origins.0.into_iter().map(Origin::into_header).collect(),
        max_body_bytes: reader.count(
            "MAX_BODY_BYTES",
            trpc::Settings::default().max_body_bytes,
            http_limits::MAX_BYTES,
        ),
        shutdown: up_to(reader, "SHUTDOWN_SECONDS", Duration::from_secs(25), DAY),
        limits: http_limits::http_limits(reader),
    }
}
