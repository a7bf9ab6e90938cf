//! The address to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use gastown_domain::Invalid;
use url::Host;

/// An IP address, or a name that is resolved when the port is bound, such as `fly-local-6pn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenHost(Host);

impl ListenHost {
    /// All addresses of IPv4.
    pub const UNSPECIFIED: Self = Self(Host::Ipv4(Ipv4Addr::UNSPECIFIED));
    /// This machine only.
    pub const LOOPBACK: Self = Self(Host::Ipv4(Ipv4Addr::LOCALHOST));

    /// Returns the address or name, without brackets.
    pub(crate) fn to_resolve(&self) -> String {
        match &self.0 {
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
            Host::Domain(name) => name.clone(),
        }
    }
}

impl FromStr for ListenHost {
    type Err = Invalid;

    /// Accepts IPv6 addresses with and without brackets.
    fn from_str(raw: &str) -> Result<Self, Invalid> {
        if let Ok(address) = raw.parse::<IpAddr>() {
            return Ok(Self(match address {
                IpAddr::V4(address) => Host::Ipv4(address),
                IpAddr::V6(address) => Host::Ipv6(address),
            }));
        }
        match Host::parse(raw) {
            // A number such as `80` or `0x7f` would become an address.
            Ok(Host::Ipv4(_)) | Err(_) => Err(Invalid::Shape { expected: "an IP address or a host name" }),
            Ok(Host::Domain(name)) if name.contains('*') => {
                Err(Invalid::Shape { expected: "an IP address or a host name" })
            }
            Ok(host @ (Host::Domain(_) | Host::Ipv6(_))) => Ok(Self(host)),
        }
    }
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
