//! The settings of the metrics.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use gastown_domain::Invalid;
use secrecy::SecretString;

use super::listen_host::ListenHost;
use super::policy::seconds;
use crate::settings_source::Reader;

/// The settings of the endpoint for Prometheus.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// `METRICS_LISTEN`: the address of the endpoint. Without it nothing is counted.
    pub listen: Option<ListenAddress>,
    /// `METRICS_TOKEN`: the bearer token of the endpoint. Without it, everyone who reaches the address may read.
    pub token: Option<SecretString>,
    /// `METRICS_SECONDS`, by default 15: the interval at which the registry is counted.
    pub every: Duration,
}

/// A host and a port, such as `127.0.0.1:9464` or `[::]:9464`. Port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// The host.
    pub host: ListenHost,
    /// The port.
    pub port: u16,
}

impl FromStr for ListenAddress {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let expected = "a host and a port, such as 127.0.0.1:9464";
        let (host, port) = raw.rsplit_once(':').ok_or(Invalid::Shape { expected })?;
        // An address of IPv6 without brackets would lose its last part.
        if host.contains(':') && !host.ends_with(']') {
            return Err(Invalid::Shape { expected });
        }
        Ok(Self { host: host.parse()?, port: port.parse().map_err(|_| Invalid::Shape { expected })? })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

pub(super) fn metrics(reader: &mut Reader<'_>) -> MetricsConfig {
    MetricsConfig {
        listen: reader.optional("METRICS_LISTEN"),
        token: reader.secret("METRICS_TOKEN"),
        every: seconds(reader, "METRICS_SECONDS", Duration::from_secs(15), 1..=3600),
    }
}
