//! The secrets tokens are signed with, and their rotation.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// Below this many bytes a secret can be guessed from one token (RFC 7518 asks for 32; hosts in the field have less).
const LEAST_SECRET_BYTES: usize = 16;

/// Signs with one secret (`NEXTAUTH_SECRET`) and verifies with it and with those before it. Wiped when dropped.
#[derive(Clone)]
pub struct TokenKeys {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
}

impl TokenKeys {
    /// Signs and verifies with this secret, of at least 16 bytes.
    pub fn new(secret: &SecretString) -> Result<Self, SecretTooShort> {
        let bytes = checked(secret)?;
        Ok(Self { signing: EncodingKey::from_secret(bytes), verifying: vec![DecodingKey::from_secret(bytes)] })
    }

    /// Verifies tokens signed with an earlier secret as well. Nothing is signed with it any more.
    pub fn accepting_previous(mut self, secret: &SecretString) -> Result<Self, SecretTooShort> {
        self.verifying.push(DecodingKey::from_secret(checked(secret)?));
        Ok(self)
    }

    pub(crate) fn signing(&self) -> &EncodingKey {
        &self.signing
    }

    pub(crate) fn verifying(&self) -> &[DecodingKey] {
        &self.verifying
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("verifying", &self.verifying.len()).finish_non_exhaustive()
    }
}

fn checked(secret: &SecretString) -> Result<&[u8], SecretTooShort> {
    match secret.expose_secret().as_bytes() {
        bytes if bytes.len() < LEAST_SECRET_BYTES => Err(SecretTooShort { got: bytes.len() }),
        bytes => Ok(bytes),
    }
}

/// The secret that tokens are signed with is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("secret has {got} bytes where at least {LEAST_SECRET_BYTES} are needed")]
pub struct SecretTooShort {
    /// How many bytes it has.
    pub got: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_less_than_sixteen_bytes_is_refused() {
        let good = TokenKeys::new(&SecretString::from("1234567890123456")).unwrap();

        for (secret, got) in [("", 0), ("123456789012345", 15)] {
            let secret = SecretString::from(secret);
            assert_eq!(TokenKeys::new(&secret).unwrap_err(), SecretTooShort { got });
            assert_eq!(good.clone().accepting_previous(&secret).unwrap_err(), SecretTooShort { got });
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = TokenKeys::new(&SecretString::from("canary-canary-canary")).unwrap();

        assert_eq!(format!("{keys:?}"), "TokenKeys { verifying: 1, .. }");
    }
}
