//! Settings that are addresses on the web.

use std::str::FromStr;

use gastown_domain::Invalid;
use url::Url;

/// An address that begins with http:// or https://. Without either, `host:port` would read as a URL of scheme `host`,
/// whose origin is the `null` of every sandboxed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpUrl(Url);

impl HttpUrl {
    /// As browsers send it in the header `origin`.
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
    /// Without a slash at its end, so that paths can follow.
    fn from(url: HttpUrl) -> Self {
        url.0.as_str().trim_end_matches('/').to_owned()
    }
}
