//! The limits of the HTTP server: connections, time, answers, and calls at a time.

use std::time::Duration;

use gastown_http::connections::ConnectionLimits;
use gastown_http::trpc::{self, AdmissionLimits};

use super::policy::up_to;
use crate::settings_source::Reader;

const HOUR: u64 = 60 * 60;
/// The most bytes of a body or an answer: 64 MiB. Each is in memory as a whole.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of unread answers of one user: 1 GiB.
const MAX_UNREAD_BYTES: usize = 1024 * 1024 * 1024;
/// The most connections, or calls that run or wait.
const MAX_AT_A_TIME: usize = 1_000_000;

/// The limits of the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// `HTTP_MAX_CONNECTIONS`, by default 4096. The limit of file descriptors may lower it.
    pub max_connections: usize,
    /// `HTTP_MAX_CONNECTIONS_PER_ADDRESS`, by default 2048.
    pub max_connections_per_address: usize,
    /// `HTTP_HEAD_SECONDS`, by default 10.
    pub head_timeout: Duration,
    /// `HTTP_IDLE_SECONDS`, by default 60.
    pub idle_timeout: Duration,
    /// `HTTP_BODY_SECONDS`, by default 30.
    pub body_timeout: Duration,
    /// `HTTP_WRITE_SECONDS`, by default 30.
    pub write_timeout: Duration,
    /// `HTTP_BATCH_CONCURRENCY`, by default 4: the calls of one batch at a time.
    pub batch_concurrency: usize,
    /// `MAX_ANSWER_BYTES`, by default 8 MiB.
    pub max_answer_bytes: usize,
    /// `MAX_UNREAD_BYTES_PER_USER`, by default 32 MiB.
    pub max_unread_bytes_per_user: usize,
    /// The queries at a time.
    pub reads: CallLimits,
    /// The mutations at a time.
    pub changes: CallLimits,
    /// `MAX_WATCHERS`, by default 1000: the subscriptions at a time.
    pub max_watchers: usize,
    /// `MAX_WATCHERS_PER_USER`, by default 20.
    pub max_watchers_per_user: usize,
    /// `MAX_WAITING_CALLS`, by default 1024.
    pub max_waiting: usize,
    /// `CALL_QUEUE_MILLISECONDS`, by default 500: the longest wait for a place.
    pub max_wait: Duration,
}

/// The calls of one kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Those of all users: `MAX_READS`, by default 32, or `MAX_CHANGES`, by default 1024.
    pub of_all: usize,
    /// Those of one user: `MAX_READS_PER_USER`, by default 16, or `MAX_CHANGES_PER_USER`, by default 64.
    pub per_user: usize,
}

pub(super) fn http_limits(reader: &mut Reader<'_>) -> HttpLimits {
    let (calls, connections) = (trpc::Settings::default(), ConnectionLimits::default());
    let mut seconds = |name, default| up_to(reader, name, default, HOUR);
    let head_timeout = seconds("HTTP_HEAD_SECONDS", connections.head_timeout);
    let idle_timeout = seconds("HTTP_IDLE_SECONDS", connections.idle_timeout);
    let body_timeout = seconds("HTTP_BODY_SECONDS", calls.body_timeout);
    let write_timeout = seconds("HTTP_WRITE_SECONDS", connections.write_timeout);
    let mut count = |name, default: usize| reader.count(name, default, MAX_AT_A_TIME);
    let mut both = |of_all, per_user, default: &AdmissionLimits| CallLimits {
        of_all: count(of_all, default.max_running),
        per_user: count(per_user, default.max_running_per_caller),
    };
    let reads = both("MAX_READS", "MAX_READS_PER_USER", &calls.reads);
    let changes = both("MAX_CHANGES", "MAX_CHANGES_PER_USER", &calls.changes);
    let max_connections = count("HTTP_MAX_CONNECTIONS", connections.max_connections);
    let max_connections_per_address = count("HTTP_MAX_CONNECTIONS_PER_ADDRESS", connections.max_per_address);
    let batch_concurrency = count("HTTP_BATCH_CONCURRENCY", calls.batch_concurrency);
    let max_watchers = count("MAX_WATCHERS", calls.watchers.max_open);
    let max_watchers_per_user = count("MAX_WATCHERS_PER_USER", calls.watchers.max_open_per_caller);
    let max_waiting = count("MAX_WAITING_CALLS", calls.reads.max_waiting);
    let max_wait = u64::try_from(calls.reads.max_wait.as_millis()).unwrap_or(u64::MAX);
    HttpLimits {
        max_connections,
        max_connections_per_address,
        head_timeout,
        idle_timeout,
        body_timeout,
        write_timeout,
        batch_concurrency,
        max_answer_bytes: reader.count("MAX_ANSWER_BYTES", calls.max_answer_bytes, MAX_BYTES),
        max_unread_bytes_per_user: reader.count("MAX_UNREAD_BYTES_PER_USER", calls.max_untaken_bytes, MAX_UNREAD_BYTES),
        reads,
        changes,
        max_watchers,
        max_watchers_per_user,
        max_waiting,
        max_wait: Duration::from_millis(reader.count("CALL_QUEUE_MILLISECONDS", max_wait, HOUR * 1000)),
    }
}
