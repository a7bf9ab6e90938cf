//! Addresses with http or https. Plain http is only for hosts on this machine or inside a private network.

use std::str::FromStr;

use gastown_domain::Invalid;
use url::{Host, Url};

/// Suffixes of the names inside a Fly network, whose traffic is encrypted between machines.
const PRIVATE_SUFFIXES: [&str; 2] = [".internal", ".flycast"];

/// An address with the scheme https, or http to a private host, and without credentials. Without this check, `host:port`
/// would parse as a URL with the scheme `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl FromStr for HttpUrl {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        match Url::parse(raw) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(Invalid::Shape { expected: "an address without user and password" });
                }
                require_https(&url).map(|()| Self(url))
            }
            _ => Err(Invalid::Shape { expected: "an address that begins with http:// or https://" }),
        }
    }
}

impl HttpUrl {
    /// Requires an address to which paths can be appended.
    ///
    /// Errors: `Invalid::Shape` if it has a query or a fragment.
    pub fn for_paths(self) -> Result<Self, Invalid> {
        if self.0.query().is_some() || self.0.fragment().is_some() {
            return Err(Invalid::Shape { expected: "an address without query and fragment" });
        }
        Ok(self)
    }
}

impl From<HttpUrl> for String {
    /// Returns the address without a trailing slash, so that paths can be appended.
    fn from(url: HttpUrl) -> Self {
        url.0.as_str().trim_end_matches('/').to_owned()
    }
}

/// Refuses http to a host that is not private. Keys would be sent there in plain text.
///
/// Errors: `Invalid::Shape`.
pub fn require_https(url: &Url) -> Result<(), Invalid> {
    if url.scheme() == "http" && !url.host().is_some_and(|host| is_private_host(&host)) {
        return Err(Invalid::Shape { expected: "https, because http is only for loopback, *.internal and *.flycast" });
    }
    Ok(())
}

/// Returns true for a host on this machine or inside a Fly network.
pub fn is_private_host<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
        Host::Domain(name) => {
            let name = name.as_ref();
            let inside = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty());
            name == "localhost" || PRIVATE_SUFFIXES.into_iter().any(inside)
        }
    }
}
