//! Origins of web pages.

use std::str::FromStr;

use gastown_domain::Invalid;
use url::Url;

/// An origin: scheme, host and port of a web page. Wildcards, paths and credentials never match the header `origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin(String);

impl Origin {
    /// Returns the origin in the form of the header.
    pub(super) fn into_header(self) -> String {
        self.0
    }
}

impl FromStr for Origin {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let expected = "origins such as https://app.example.com, without wildcard, path or credentials";
        let invalid = || Invalid::Shape { expected };
        let url = Url::parse(raw).map_err(|_| invalid())?;
        // The parser repairs `http:a.com`, and decodes `%2a`.
        let scheme = raw.split_once("://").map(|(before, _)| before.to_ascii_lowercase());
        let is_web = matches!(url.scheme(), "http" | "https") && scheme.as_deref() == Some(url.scheme());
        let is_host = url.host_str().is_some_and(|host| !host.contains('*'));
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if is_web && is_host && is_bare && !raw.contains(['*', '@']) {
            Ok(Self(url.origin().ascii_serialization()))
        } else {
            Err(invalid())
        }
    }
}
