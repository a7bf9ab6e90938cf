//! The settings of the HTTP adapter and of its connections, from the configuration.

use axum::http::HeaderValue;
use gastown_http::connections::ConnectionLimits;
use gastown_http::{HttpSettings, trpc};

use crate::config::{CallLimits, Config, HttpLimits};
use crate::start_error::StartError;

/// Returns the settings of the adapter.
pub(crate) fn adapter(config: &Config) -> Result<HttpSettings, StartError> {
    let origins = config.http.allowed_origins.iter().map(|origin| HeaderValue::from_str(origin));
    Ok(HttpSettings {
        trpc: calls(config),
        allowed_origins: origins.collect::<Result<_, _>>()?,
        ..HttpSettings::default()
    })
}

fn calls(config: &Config) -> trpc::Settings {
    let limits = &config.http.limits;
    trpc::Settings {
        max_body_bytes: config.http.max_body_bytes,
        body_timeout: limits.body_timeout,
        batch_concurrency: limits.batch_concurrency,
        max_answer_bytes: limits.max_answer_bytes,
        max_untaken_bytes: limits.max_unread_bytes_per_user,
        reads: admission(limits, limits.reads),
        changes: admission(limits, limits.changes),
        watchers: trpc::WatcherLimits {
            max_open: limits.max_watchers,
            max_open_per_caller: limits.max_watchers_per_user,
            ..trpc::WatcherLimits::default()
        },
        ..trpc::Settings::default()
    }
}

fn admission(limits: &HttpLimits, calls: CallLimits) -> trpc::AdmissionLimits {
    trpc::AdmissionLimits {
        max_running: calls.of_all,
        max_running_per_caller: calls.per_user,
        max_waiting: limits.max_waiting,
        max_wait: limits.max_wait,
    }
}

/// Returns the limits of connections. The time of a stream follows from that of its call.
pub(crate) fn connections(config: &Config) -> ConnectionLimits {
    let limits = &config.http.limits;
    ConnectionLimits {
        max_connections: limits.max_connections,
        max_per_address: limits.max_connections_per_address,
        head_timeout: limits.head_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.write_timeout,
        ..ConnectionLimits::default()
    }
}
