//! The secrets that sign tokens, and their rotation.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// The shortest secret. HS256 requires as many bytes as its hash has (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The text whose signature is the id of a secret. The signed text of a token has a dot, so it never equals this one.
const KEY_ID: &[u8] = b"gastown-token-key-id:v1";
/// The number of characters of an id, which are 96 bits.
const KEY_ID_LENGTH: usize = 16;

/// Signs with one secret (`NEXTAUTH_SECRET`), and verifies with it and with earlier ones. Wiped on drop.
#[derive(Clone)]
pub struct TokenKeys {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
}

impl TokenKeys {
    /// Creates keys that sign and verify with this secret, of at least 32 bytes.
    pub fn new(secret: &SecretString) -> Result<Self, SecretTooShort> {
        let bytes = checked(secret)?;
        Ok(Self { signing: EncodingKey::from_secret(bytes), verifying: vec![DecodingKey::from_secret(bytes)] })
    }

    /// Also accepts tokens signed with an earlier secret. Nothing is signed with it.
    pub fn accepting_previous(mut self, secret: &SecretString) -> Result<Self, SecretTooShort> {
        self.verifying.push(DecodingKey::from_secret(checked(secret)?));
        Ok(self)
    }

    /// Returns the id of the signing secret, the `kid` of each minted token. It reveals nothing of the secret.
    ///
    /// Verification does not use it, because the tokens of the host application have none.
    pub fn key_id(&self) -> Result<String, jsonwebtoken::errors::Error> {
        let mut id = crypto::sign(KEY_ID, &self.signing, Algorithm::HS256)?;
        id.truncate(KEY_ID_LENGTH);
        Ok(id)
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
        bytes if bytes.len() < MIN_SECRET_BYTES => Err(SecretTooShort { got: bytes.len() }),
        bytes => Ok(bytes),
    }
}

/// The secret for tokens is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("secret has {got} bytes, at least {MIN_SECRET_BYTES} are required")]
pub struct SecretTooShort {
    /// Its length in bytes.
    pub got: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_less_than_32_bytes_is_refused() {
        let good = TokenKeys::new(&SecretString::from("12345678901234567890123456789012")).unwrap();

        for (secret, got) in [("", 0), ("1234567890123456789012345678901", 31)] {
            let secret = SecretString::from(secret);
            assert_eq!(TokenKeys::new(&secret).unwrap_err(), SecretTooShort { got });
            assert_eq!(good.clone().accepting_previous(&secret).unwrap_err(), SecretTooShort { got });
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = TokenKeys::new(&SecretString::from("canary-canary-canary-canary-canary")).unwrap();

        assert_eq!(format!("{keys:?}"), "TokenKeys { verifying: 1, .. }");
    }
}
