//! Leases: who may change a machine. Guards update, start, stop and destroy; not metadata, not volumes.

use std::{fmt, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::{Action, Call, Method, lenient};

/// A lease as Fly answers it: wrapped, whatever its description says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// The lease itself.
    pub data: Lease,
}

/// A lease on a machine. `Debug` hides the nonce: who knows it holds the machine.
#[derive(Clone, Deserialize, PartialEq, Eq)]
pub struct Lease {
    /// What calls under the lease carry.
    pub nonce: String,
    /// Unix time in seconds.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub expires_at: i64,
    /// Who took it.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub owner: Option<String>,
    /// The machine's version when it was taken.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub version: Option<String>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("expires_at", &self.expires_at)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Takes the lease. Answer: [`LeaseAnswer`]; held by another: 409. Not safe to repeat: one's own lost lease is 409 too.
pub fn acquire(app: &str, machine: &str, ttl: Duration, description: &str) -> Call {
    Call::new(Action::AcquireLease, Method::Post, ["apps", app, "machines", machine, "lease"])
        .with_body(json!({ "ttl": ttl.as_secs(), "description": description }))
}

/// Makes the lease last longer. Answer: [`LeaseAnswer`] with the same nonce.
pub fn refresh(app: &str, machine: &str, nonce: &str, ttl: Duration) -> Call {
    Call::new(Action::RefreshLease, Method::Post, ["apps", app, "machines", machine, "lease"])
        .with_body(json!({ "ttl": ttl.as_secs() }))
        .under_lease(nonce)
}

/// Gives the lease up.
pub fn release(app: &str, machine: &str, nonce: &str) -> Call {
    Call::new(Action::ReleaseLease, Method::Delete, ["apps", app, "machines", machine, "lease"]).under_lease(nonce)
}
