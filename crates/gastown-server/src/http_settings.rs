//! The settings of the HTTP adapter and of its connections, from the configuration.

use std::time::Duration;

use axum::http::HeaderValue;
use gastown_http::connections::ConnectionLimits;
use gastown_http::{HttpSettings, trpc};

use crate::config::{CallLimits, Config, HttpLimits};
use crate::control_plane::set_up;
use crate::file_descriptors;
use crate::start_error::StartError;

/// The time of a call beyond its wait for an operation, for the registry.
const REGISTRY_TIME: Duration = Duration::from_secs(30);
/// The time of an HTTP/2 stream beyond its call and the writing of its answer.
const STREAM_SLACK: Duration = Duration::from_secs(10);

/// Returns the settings of the adapter.
pub(crate) fn adapter(config: &Config) -> Result<HttpSettings, StartError> {
    let origins = config.http.allowed_origins.iter().map(|origin| HeaderValue::from_str(origin));
    Ok(HttpSettings {
        trpc: calls(config),
        allowed_origins: origins.collect::<Result<_, _>>().map_err(set_up("the allowed origins"))?,
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
        time_limit: time_limit(config),
        reads: admission(limits, limits.reads),
        changes: admission(limits, limits.changes),
        ..trpc::Settings::default()
    }
}

/// Returns the time of a call, which waits at most `CALLER_WAIT_SECONDS` for its operation.
fn time_limit(config: &Config) -> Duration {
    config.orchestrator.policy.timeouts.caller + REGISTRY_TIME
}

fn admission(limits: &HttpLimits, calls: CallLimits) -> trpc::AdmissionLimits {
    trpc::AdmissionLimits {
        max_running: calls.of_all,
        max_running_per_caller: calls.per_user,
        max_waiting: limits.max_waiting,
        max_wait: limits.max_wait,
    }
}

/// Returns the limits of connections, within the limit of file descriptors.
pub(crate) fn connections(config: &Config) -> ConnectionLimits {
    let limits = &config.http.limits;
    let of_database = usize::try_from(config.database_max_connections).unwrap_or(usize::MAX);
    let max_connections = file_descriptors::connections(limits.max_connections, of_database);
    ConnectionLimits {
        max_connections,
        max_per_address: share(limits.max_connections_per_address, limits.max_connections, max_connections),
        head_timeout: limits.head_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.write_timeout,
        stream_timeout: time_limit(config) + limits.write_timeout + STREAM_SLACK,
    }
}

/// Returns the same part of `lowered` connections that `part` is of `all`, at least one. One address then cannot take all
/// connections of a small limit.
fn share(part: usize, all: usize, lowered: usize) -> usize {
    if lowered >= all { part } else { (part.min(all).saturating_mul(lowered) / all.max(1)).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_of_an_address_is_lowered_with_that_of_all() {
        for (part, all, lowered, want) in [
            (2048, 4096, 4096, 2048),
            (2048, 4096, 687, 343),
            (4096, 4096, 687, 687),
            (9000, 4096, 687, 687),
            (1, 4096, 111, 1),
        ] {
            assert_eq!(share(part, all, lowered), want, "{part} of {all}, {lowered} left");
        }
    }
}
