//! The share of the process's file descriptors that the connections of clients may take.

use nix::sys::resource::{Resource, getrlimit};

/// For the runtime, the log, the listener and files.
const FOR_THE_PROCESS: usize = 32;
/// For calls to Fly and to sandboxes, at least.
const FOR_CALLS: usize = 64;
/// The descriptors of one connection to SQLite: the file, its log and its shared memory.
const PER_DATABASE_CONNECTION: usize = 3;
/// The connections that every process accepts.
const MIN_CONNECTIONS: usize = 16;

/// Returns the number of connections that the limit of file descriptors allows, at most `wanted`.
pub(crate) fn connections(wanted: usize, database_connections: usize) -> usize {
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
    use super::allowed;

    #[test]
    fn descriptors_are_kept_for_everything_else() {
        for (limit, database, want) in [
            (256, 10, 111),
            (1024, 10, 687),
            (1024, 100, 417),
            (65_536, 10, 49_071),
            (64, 10, 16),
            (usize::MAX, usize::MAX, 16),
        ] {
            assert_eq!(allowed(limit, database), want, "{limit} {database}");
        }
    }
}
