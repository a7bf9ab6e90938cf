//! Opens the whole environment of a sandbox at boot.

use std::fmt;

use secrecy::SecretString;
use thiserror::Error;

use crate::format::SealedValue;
use crate::open::{OpenError, SandboxKey, open_with};

/// The value of a variable after [`open_env`]. `Debug` shows neither kind, because a plain value may be a secret that was
/// not sealed by mistake.
pub enum EnvValue {
    /// The content of a sealed value.
    Opened(SecretString),
    /// An unchanged value that was not sealed.
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

/// Opens every sealed value of an environment and keeps plain ones unchanged, in the given order.
///
/// Fails closed: if a value with the prefix of sealed values cannot be opened, nothing is returned. All failures are
/// reported together. A box is not bound to the variable's name. An attacker who can write a machine's configuration can
/// also swap two of its variables.
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

/// A variable that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}: {cause}")]
pub struct EnvFailure {
    /// The variable's name.
    pub name: String,
    /// The cause. It is not a source, because the text above contains it.
    pub cause: OpenError,
}

/// Some variables could not be opened, so the environment is not usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEnvError {
    failures: Vec<EnvFailure>,
}

impl OpenEnvError {
    /// Returns every variable that could not be opened, at least one, in the order of the environment.
    pub fn failures(&self) -> &[EnvFailure] {
        &self.failures
    }
}

impl std::error::Error for OpenEnvError {}

impl fmt::Display for OpenEnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to open environment")?;
        for (at, failure) in self.failures.iter().enumerate() {
            write!(f, "{} {failure}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}
