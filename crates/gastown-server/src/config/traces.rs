//! The settings of the traces. Their names are those of OpenTelemetry.

use std::fmt;
use std::str::FromStr;

use gastown::HttpUrl;
use gastown_domain::Invalid;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings_source::{Reader, Source};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The headers that each export has already, or that would break it.
const OF_EXPORTS: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, CONNECTION, HOST];

/// The settings of the traces.
#[derive(Debug, Clone)]
pub(crate) struct TracesConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the address of a collector, without `/v1/traces`. It does not end with a slash.
    pub(crate) endpoint: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: headers of each export, such as a key.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// `OTEL_TRACES_SAMPLER_ARG`, by default 1: the part of the traces that is exported, from 0 to 1.
    pub(crate) ratio: Ratio,
}

impl TracesConfig {
    /// Reads the settings before the others are checked. `None`: no collector, or a mistake, which the check reports.
    pub(crate) fn early(source: &Source) -> Option<Self> {
        let mut reader = Reader::new(source);
        let config = traces(&mut reader);
        if reader.into_mistakes().is_empty() { config } else { None }
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

impl FromStr for Ratio {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let ratio = raw.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(Invalid::Shape { expected: "a number from 0 to 1" })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Checks the settings of the traces, whose export starts before this check.
pub(super) fn check(reader: &mut Reader<'_>) {
    let _: Option<TracesConfig> = traces(reader);
}

/// Reads the settings of the traces. `None`: no collector is set.
fn traces(reader: &mut Reader<'_>) -> Option<TracesConfig> {
    let endpoint = reader.optional::<HttpUrl>(ENDPOINT).map(HttpUrl::for_paths);
    let headers = reader.secret(HEADERS).map_or_else(|| Some(Vec::new()), |raw| headers(&raw));
    if headers.is_none() {
        reader.wrong(HEADERS, "is invalid: must be name=value, with commas between headers, and none that describes the body or the connection");
    }
    let ratio = reader.or(RATIO, Ratio(1.0));
    match endpoint? {
        Ok(endpoint) => Some(TracesConfig { endpoint: endpoint.into(), headers: headers?, ratio }),
        Err(problem) => {
            reader.wrong(ENDPOINT, &format!("is invalid: {problem}"));
            None
        }
    }
}

/// Parses the headers, whose values are percent-encoded. They are secrets, so an error does not show them.
fn headers(raw: &SecretString) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let pairs = raw.expose_secret().split(',').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        let name = name.trim().parse().ok()?;
        (!OF_EXPORTS.contains(&name)).then_some((name, value))
    });
    pairs.collect()
}
