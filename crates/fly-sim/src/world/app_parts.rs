//! The parts of an app beside its machines, volumes and secrets.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An IP address of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpAddress {
    pub(crate) ip: String,
    pub(crate) kind: IpKind,
    pub(crate) region: String,
    pub(crate) service_name: String,
    /// The network of a private address.
    pub(crate) network: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// The kind of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IpKind {
    V4,
    V6,
    SharedV4,
    PrivateV6,
}

/// A hostname of an app with its certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hostname {
    pub(crate) name: String,
    /// Set while Fly is asked for a certificate.
    pub(crate) acme_requested: bool,
    /// Set while the app has a certificate of its own.
    pub(crate) has_custom: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A key that the app's machines sign with. Its value never leaves the app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretKey {
    pub(crate) kind: String,
    pub(crate) value: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}
