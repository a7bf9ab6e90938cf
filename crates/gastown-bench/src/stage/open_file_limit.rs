//! The limit of open files of this program, which its servers inherit.

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For everything but the connections of a load, in this program and in a server.
const RESERVE: u64 = 2_000;

/// Raises the limit so that a load and a server may have this many connections each.
///
/// Errors: the system does not allow as many.
pub(crate) fn raise(connections: usize) -> anyhow::Result<()> {
    let (limit, max) = getrlimit(Resource::RLIMIT_NOFILE).context("failed to read the limit")?;
    // A server leaves a quarter of its descriptors for its own calls.
    let wanted = (u64::try_from(connections)? + RESERVE) * 4 / 3;
    if limit >= wanted {
        return Ok(());
    }
    ensure!(max >= wanted, "{wanted} open files are necessary, and `ulimit -Hn` is {max}");
    setrlimit(Resource::RLIMIT_NOFILE, wanted, max).context("failed to set the limit")
}
