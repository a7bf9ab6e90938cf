//! Settings that are http or https addresses.

use std::str::FromStr;

use gastown_domain::Invalid;
use url::Url;

/// An address with the scheme http or https. Without this check, `host:port` would parse as a URL with the scheme `host`.
/// Its origin would be `null`, which is the origin of every sandboxed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpUrl(Url);

impl HttpUrl {
    /// Returns the origin, in the form of the header `origin`.
    pub(super) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl FromStr for HttpUrl {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        match Url::parse(raw) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self(url)),
            _ => Err(Invalid::Shape { expected: "an address that begins with http:// or https://" }),
        }
    }
}

impl From<HttpUrl> for String {
    /// Returns the address without a trailing slash, so that paths can be appended.
    fn from(url: HttpUrl) -> Self {
        url.0.as_str().trim_end_matches('/').to_owned()
    }
}
