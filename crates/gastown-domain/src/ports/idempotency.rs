//! Idempotency keys of create requests.

use sha2::{Digest as _, Sha256};

use crate::Invalid;

/// A key that makes a repeated create return the same town: 1 to 128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        crate::id::bounded(raw, 128)?;
        match raw.chars().find(|c| !c.is_ascii_graphic()) {
            Some(bad) => Err(Invalid::Character { bad, allowed: "printable ASCII characters" }),
            None => Ok(Self(raw.to_owned())),
        }
    }
}

/// The content of a request, as the 64 hex digits of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFingerprint(String);

impl RequestFingerprint {
    /// Returns the fingerprint of a request in its canonical text.
    pub(super) fn of(canonical: &str) -> Self {
        let digest = Sha256::digest(canonical.as_bytes());
        Self(digest.iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}")))
    }

    /// Returns the text, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
