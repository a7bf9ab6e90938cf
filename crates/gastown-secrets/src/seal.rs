//! Seals values. The control plane has only the public key, so it cannot open them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use curve25519_dalek::MontgomeryPoint;
use gastown_domain::ports::{SealError, Sealer};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::format::{KeyId, SealedValue};

/// The base64 of keys. Operators paste them, so padding is optional.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The X25519 public key of a sandbox image. It seals values that only the [`SandboxKey`] can open.
///
/// Parsed from base64 (standard alphabet) or hex of its 32 bytes. `Display` writes base64.
///
/// [`SandboxKey`]: crate::SandboxKey
#[derive(Clone, PartialEq, Eq)]
pub struct PublicSealingKey {
    key: PublicKey,
    id: KeyId,
}

impl PublicSealingKey {
    /// Creates a key from its 32 raw bytes.
    ///
    /// Refuses points of small order, as libsodium does, because every reader of a box that was sealed for one can open
    /// it.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        // A clamped scalar is a multiple of 8. It maps exactly the points of small order to zero.
        if MontgomeryPoint(bytes).mul_clamped([1; 32]) == MontgomeryPoint([0; 32]) {
            return Err(InvalidKey::SmallOrder);
        }
        Ok(Self::of(PublicKey::from_bytes(bytes)))
    }

    /// Creates the public key of a key pair, which is never of small order.
    pub(crate) fn of(key: PublicKey) -> Self {
        let id = KeyId::of(key.as_bytes());
        Self { key, id }
    }

    /// Returns the id in values that this key seals.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Seals a secret. Each call returns another ciphertext, also for the same secret.
    pub fn seal(&self, secret: &SecretString) -> Result<SealedValue, CipherRefused> {
        let ciphertext = self.key.seal(&mut OsRng, secret.expose_secret().as_bytes()).map_err(|_| CipherRefused)?;
        Ok(SealedValue::new(self.id, ciphertext))
    }
}

impl Sealer for PublicSealingKey {
    fn seal(&self, value: &SecretString) -> Result<String, SealError> {
        let sealed = Self::seal(self, value).map_err(|refused| SealError { cause: refused.into() })?;
        Ok(sealed.to_text())
    }
}

impl fmt::Display for PublicSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&KEY_BASE64.encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicSealingKey").field(&self.id).finish()
    }
}

impl FromStr for PublicSealingKey {
    type Err = InvalidKey;

    fn from_str(raw: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(*parse_key_bytes(raw)?)
    }
}

/// Parses the 32 bytes of a key of either kind, from base64 or hex. Surrounding white space is ignored.
pub(crate) fn parse_key_bytes(raw: &str) -> Result<Zeroizing<[u8; 32]>, InvalidKey> {
    let raw = raw.trim();
    // 64 characters of base64 are 48 bytes, so the length distinguishes the two encodings.
    let bytes = Zeroizing::new(if raw.len() == 64 { decode_hex(raw)? } else { decode_base64(raw)? });
    let exact = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| InvalidKey::Length { got: bytes.len() })?;
    Ok(Zeroizing::new(exact))
}

fn decode_base64(raw: &str) -> Result<Vec<u8>, InvalidKey> {
    KEY_BASE64.decode(raw).map_err(|_| InvalidKey::Encoding)
}

fn decode_hex(raw: &str) -> Result<Vec<u8>, InvalidKey> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    raw.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>().ok_or(InvalidKey::Encoding)
}

/// The reason why a text is not a key. It contains no part of the text, which may be a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// The text is neither base64 nor hex.
    #[error("key is neither base64 nor hex")]
    Encoding,
    /// The key does not have 32 bytes.
    #[error("key has {got} bytes, 32 are required")]
    Length {
        /// Its length in bytes.
        got: usize,
    },
    /// The public key provides no secrecy. An example is the key of zeros.
    #[error("public key is a point of small order, which provides no secrecy")]
    SmallOrder,
}

/// The cipher refused the secret. In practice this happens only for secrets over its limit of 2^38 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the cipher refused the secret")]
pub struct CipherRefused;

#[cfg(test)]
mod tests {
    use super::*;

    const BASE64: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    const HEX: &str = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";

    #[test]
    fn base64_and_hex_give_the_same_key() {
        let key: PublicSealingKey = BASE64.parse().unwrap();

        for raw in [HEX, &HEX.to_uppercase(), BASE64.trim_end_matches('='), &format!("  {BASE64}\n")] {
            assert_eq!(raw.parse().as_ref(), Ok(&key), "{raw:?}");
        }
        assert_eq!(key.to_string(), BASE64);
    }

    #[test]
    fn text_that_is_not_a_key_is_refused_with_its_reason() {
        let cases = [
            ("", InvalidKey::Length { got: 0 }),
            ("AAAA", InvalidKey::Length { got: 3 }),
            ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmpq", InvalidKey::Length { got: 33 }),
            ("not a key", InvalidKey::Encoding),
            ("hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=", InvalidKey::Encoding),
            (&HEX.replace('8', "x"), InvalidKey::Encoding),
            (&HEX.replace("85", "ä"), InvalidKey::Encoding),
        ];

        for (raw, want) in cases {
            assert_eq!(raw.parse::<PublicSealingKey>(), Err(want), "{raw:?}");
        }
    }

    #[test]
    fn points_of_small_order_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        let order_eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";

        assert_eq!(PublicSealingKey::from_bytes([0; 32]), Err(InvalidKey::SmallOrder));
        assert_eq!(PublicSealingKey::from_bytes(one), Err(InvalidKey::SmallOrder));
        assert_eq!(order_eight.parse::<PublicSealingKey>(), Err(InvalidKey::SmallOrder));
    }

    #[test]
    fn two_seals_of_one_secret_differ() {
        let key: PublicSealingKey = BASE64.parse().unwrap();
        let secret = SecretString::from("the same");

        assert_ne!(key.seal(&secret).unwrap(), key.seal(&secret).unwrap());
    }
}
