//! Settings of the client: address, deadlines, sizes.

use std::{str::FromStr, time::Duration};

use url::{Host, Url};

use crate::api::Action;

/// Fly's public address of the Machines API. Inside a Fly private network it is `http://_api.internal:4280`.
pub const PUBLIC_BASE_URL: &str = "https://api.machines.dev";

/// The address of the Machines API. Parsed from an http(s) URL with or without the trailing `/` and `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// The text is not an address of a Machines API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// Not a URL.
    #[error("not a URL")]
    Url,
    /// The scheme is neither http nor https, or there is no host.
    #[error("not an http or https address")]
    Scheme,
    /// A user, a password, a query or a fragment, which would be lost or leak.
    #[error("an address with credentials, query or fragment")]
    Extra,
}

impl BaseUrl {
    /// Returns the address, which ends in `/v1`.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Returns true if no proxy may be used: for plain http, and for this machine.
    pub(crate) fn is_direct(&self) -> bool {
        self.0.scheme() == "http" || self.is_loopback()
    }

    fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(raw: &str) -> Result<Self, InvalidBaseUrl> {
        let mut url = Url::parse(raw.trim()).map_err(|_| InvalidBaseUrl::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(InvalidBaseUrl::Scheme);
        }
        let extra =
            !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some();
        if extra {
            return Err(InvalidBaseUrl::Extra);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let path = if path.ends_with("/v1") { path } else { format!("{path}/v1") };
        url.set_path(&path);
        Ok(Self(url))
    }
}

/// Deadlines of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time to connect, with TLS.
    pub connect: Duration,
    /// Time from the start to the last byte of the answer. The server's own wait is added to it.
    pub call: Duration,
}

impl Default for Timeouts {
    /// 5 s to connect, 30 s in all. Creates were seen to take 1 to 3 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), call: Duration::from_secs(30) }
    }
}

/// The largest answers that are read, in bytes. Fly has no pages, so a list of an app's machines holds them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerSizes {
    /// The limit for an answer about one object.
    pub one: usize,
    /// The limit for a list.
    pub list: usize,
}

impl AnswerSizes {
    /// Returns the limit for an action.
    pub(crate) const fn of(self, action: Action) -> usize {
        if action.lists() { self.list } else { self.one }
    }
}

impl Default for AnswerSizes {
    /// 1 MiB and 64 MiB. A machine with its sealed environment and last events takes 5 to 10 kB, so a list holds several
    /// thousand.
    fn default() -> Self {
        Self { one: 1024 * 1024, list: 64 * 1024 * 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_address_are_equal() {
        for (raw, want) in [
            ("https://api.machines.dev", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/v1", "https://api.machines.dev/v1"),
            ("https://api.machines.dev/v1/", "https://api.machines.dev/v1"),
            (" http://127.0.0.1:4280//\n", "http://127.0.0.1:4280/v1"),
            ("http://proxy/fly/", "http://proxy/fly/v1"),
        ] {
            assert_eq!(raw.parse::<BaseUrl>().unwrap().as_url().as_str(), want, "{raw:?}");
        }
    }

    #[test]
    fn an_address_with_credentials_query_or_fragment_is_refused() {
        for (raw, why) in [
            ("api.machines.dev", InvalidBaseUrl::Url),
            ("", InvalidBaseUrl::Url),
            ("ftp://api.machines.dev", InvalidBaseUrl::Scheme),
            ("file:///etc", InvalidBaseUrl::Scheme),
            ("https://user:pw@api.machines.dev", InvalidBaseUrl::Extra),
            ("https://api.machines.dev?x=1", InvalidBaseUrl::Extra),
            ("https://api.machines.dev#x", InvalidBaseUrl::Extra),
        ] {
            assert_eq!(raw.parse::<BaseUrl>(), Err(why), "{raw:?}");
        }
    }

    #[test]
    fn plain_requests_and_those_to_this_machine_use_no_proxy() {
        for (raw, direct) in [
            ("https://api.machines.dev", false),
            ("https://localhost", true),
            ("http://127.0.0.1:1", true),
            ("http://_api.internal:4280", true),
            ("http://api.machines.dev", true),
        ] {
            assert_eq!(raw.parse::<BaseUrl>().unwrap().is_direct(), direct, "{raw}");
        }
    }
}
