//! Opening a sandbox's whole environment at boot.

use std::fmt;

use secrecy::SecretString;
use thiserror::Error;

use crate::format::SealedValue;
use crate::open::{OpenError, SandboxKey, open_with};

/// The value of a variable after [`open_env`]. `Debug` shows neither kind: a secret may stand there unsealed by mistake.
pub enum EnvValue {
    /// Was sealed; this is its content.
    Opened(SecretString),
    /// Was not sealed and stands as it was.
    Plain(String),
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opened(_) => "Opened([REDACTED])",
            Self::Plain(_) => "Plain([REDACTED])",
        })
    }
}

/// Opens every sealed value of an environment and leaves plain ones as they are, in the order given.
///
/// Fails closed: whatever begins like a sealed value must open, else nothing is handed out at all. All failures are
/// reported together, so that one look at the log is enough. A box is not bound to the variable's name: whoever may
/// write a machine's configuration may also swap two of its variables.
pub fn open_env<I, N, V>(keys: &[SandboxKey], env: I) -> Result<Vec<(String, EnvValue)>, OpenEnvError>
where
    I: IntoIterator<Item = (N, V)>,
    N: Into<String>,
    V: Into<String>,
{
    let mut opened = Vec::new();
    let mut failures = Vec::new();
    for (name, value) in env {
        let (name, value) = (name.into(), value.into());
        if !SealedValue::claims(&value) {
            opened.push((name, EnvValue::Plain(value)));
            continue;
        }
        match open_with(keys, &value) {
            Ok(secret) => opened.push((name, EnvValue::Opened(secret))),
            Err(cause) => failures.push(EnvFailure { name, cause }),
        }
    }
    if failures.is_empty() { Ok(opened) } else { Err(OpenEnvError { failures }) }
}

/// One variable that stayed closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}: {cause}")]
pub struct EnvFailure {
    /// The variable's name.
    pub name: String,
    /// Why; not offered as a source, for the text above already says it.
    pub cause: OpenError,
}

/// Some variables stayed closed, so the environment is not usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEnvError {
    failures: Vec<EnvFailure>,
}

impl OpenEnvError {
    /// Every variable that stayed closed, at least one, in the order of the environment.
    pub fn failures(&self) -> &[EnvFailure] {
        &self.failures
    }
}

impl std::error::Error for OpenEnvError {}

impl fmt::Display for OpenEnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("environment could not be opened")?;
        for (at, failure) in self.failures.iter().enumerate() {
            write!(f, "{} {failure}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}
