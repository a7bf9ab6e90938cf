//! The output of a command, on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use crate::reports::json;

/// Prints a text. A closed pipe, such as that of `head`, is not a failure.
pub(super) fn say(text: impl Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a report as one JSON object.
pub(super) fn say_json(report: &impl Serialize) -> anyhow::Result<()> {
    Ok(say(json(report)?)?)
}
