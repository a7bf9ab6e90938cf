//! The share of the process's file descriptors that the connections of clients may take.

use gastown_http::connections::ConnectionLimits;
use nix::sys::resource::{Resource, getrlimit};

/// For the runtime, the log, the listeners, files and the connections of a scraper.
const FOR_THE_PROCESS: usize = 40;
/// For calls to Fly and to sandboxes, at least.
const FOR_CALLS: usize = 64;
/// The descriptors of one connection to SQLite: the file, its log and its shared memory.
const PER_DATABASE_CONNECTION: usize = 3;
/// The connections that every process accepts.
const MIN_CONNECTIONS: usize = 16;

/// Returns these limits, within the limit of file descriptors.
pub(crate) fn within(limits: &ConnectionLimits, database_connections: usize) -> ConnectionLimits {
    let max_connections = connections(limits.max_connections, database_connections);
    let max_per_address = share(limits.max_per_address, limits.max_connections, max_connections);
    ConnectionLimits { max_connections, max_per_address, ..*limits }
}

/// Returns the same part of `lowered` connections that `part` is of `all`, at least one. One address then cannot take all
/// connections of a small limit.
fn share(part: usize, all: usize, lowered: usize) -> usize {
    if lowered >= all { part } else { (part.min(all).saturating_mul(lowered) / all.max(1)).max(1) }
}

/// Returns the number of connections that the limit of file descriptors allows, at most `wanted`.
fn connections(wanted: usize, database_connections: usize) -> usize {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to read limit of file descriptors");
            return wanted;
        }
    };
    let allowed = allowed(limit, database_connections);
    if allowed < wanted {
        tracing::warn!(limit, wanted, allowed, "connections limited by file descriptors");
    }
    wanted.min(allowed)
}

fn allowed(limit: usize, database_connections: usize) -> usize {
    // One connection more is for probes of the database.
    let database = database_connections.saturating_add(1).saturating_mul(PER_DATABASE_CONNECTION);
    let calls = FOR_CALLS.max(limit / 4);
    let reserved = [database, calls, FOR_THE_PROCESS, gastown_http::connections::PROBE_CONNECTIONS];
    reserved.into_iter().fold(limit, usize::saturating_sub).max(MIN_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::{allowed, share};

    #[test]
    fn descriptors_are_kept_for_everything_else() {
        for (limit, database, want) in [
            (256, 10, 103),
            (1024, 10, 679),
            (1024, 100, 409),
            (65_536, 10, 49_063),
            (64, 10, 16),
            (usize::MAX, usize::MAX, 16),
        ] {
            assert_eq!(allowed(limit, database), want, "{limit} {database}");
        }
    }

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
