//! The settings of the logs.

use std::str::FromStr;

use gastown_domain::Invalid;
use tracing_subscriber::EnvFilter;

use crate::settings_source::Reader;

/// `LOG_FORMAT`: the format of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
}

impl FromStr for LogFormat {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        match raw {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(Invalid::Shape { expected: "human or json" }),
        }
    }
}

/// Checks the settings of the logs. Logging starts before this check, and uses defaults for invalid settings.
pub(super) fn check(reader: &mut Reader<'_>) {
    let _: Option<LogFormat> = reader.optional("LOG_FORMAT");
    let level: Option<String> = reader.optional("LOG_LEVEL");
    if level.is_some_and(|level| EnvFilter::try_new(level).is_err()) {
        reader.wrong("LOG_LEVEL", "is invalid: must be a level or a list such as info,gastown_fly=debug");
    }
}
