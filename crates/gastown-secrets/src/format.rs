//! The text form of a sealed value: `nacl:v1:<key id>:<base64>`.
//!
//! The version names the whole construction, so that others can be added: X25519 + XSalsa20-Poly1305 sealed box, standard
//! base64 with padding. The key id names the key that opens the value. After a rotation there are machines whose
//! configuration was sealed for the previous key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The prefix of sealed values of every version, and of nothing else.
const SCHEME: &str = "nacl:";
const VERSION: &str = "v1";
/// The overhead of a sealed box: the sender's one-time public key (32 bytes) and the authenticator (16).
const OVERHEAD: usize = 48;

/// The id of a key pair: the first 8 bytes of the SHA-256 of the public key, in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    /// Returns the id of a public key of 32 raw bytes.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let digest = Sha256::digest(public_key);
        Self(digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = InvalidSealedValue;

    fn from_str(raw: &str) -> Result<Self, InvalidSealedValue> {
        let well_formed = raw.len() == 16 && raw.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match u64::from_str_radix(raw, 16) {
            Ok(id) if well_formed => Ok(Self(id)),
            _ => Err(InvalidSealedValue::KeyId),
        }
    }
}

/// A sealed value: the id of its key, and the box.
///
/// `Debug` shows only the key id and the size. There is no `Display`: [`SealedValue::to_text`] returns the text, which
/// belongs only into a machine's configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue {
    key: KeyId,
    ciphertext: Vec<u8>,
}

impl SealedValue {
    pub(crate) fn new(key: KeyId, ciphertext: Vec<u8>) -> Self {
        Self { key, ciphertext }
    }

    /// Returns true if a text has the prefix of sealed values, of any version. Such a text must be opened and is never a
    /// plain value.
    pub fn claims(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Returns the id of the key pair that opens this value.
    pub fn key_id(&self) -> KeyId {
        self.key
    }

    /// Returns the text form, `nacl:v1:<key id>:<base64>`, which [`FromStr`] parses.
    pub fn to_text(&self) -> String {
        format!("{SCHEME}{VERSION}:{}:{}", self.key, STANDARD.encode(&self.ciphertext))
    }

    pub(crate) fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedValue").field("key", &self.key).field("bytes", &self.ciphertext.len()).finish()
    }
}

impl FromStr for SealedValue {
    type Err = InvalidSealedValue;

    fn from_str(raw: &str) -> Result<Self, InvalidSealedValue> {
        let versioned = raw.strip_prefix(SCHEME).ok_or(InvalidSealedValue::NotSealed)?;
        let (version, rest) = versioned.split_once(':').ok_or(InvalidSealedValue::Incomplete)?;
        if version != VERSION {
            return Err(InvalidSealedValue::UnknownVersion);
        }
        let (key, encoded) = rest.split_once(':').ok_or(InvalidSealedValue::Incomplete)?;
        let key = key.parse()?;
        let ciphertext = STANDARD.decode(encoded).map_err(|_| InvalidSealedValue::Base64)?;
        if ciphertext.len() < OVERHEAD {
            return Err(InvalidSealedValue::TooShort { got: ciphertext.len() });
        }
        Ok(Self { key, ciphertext })
    }
}

/// The reason why a text is not a sealed value.
///
/// No variant contains a part of the text, and there is no source, because the text may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidSealedValue {
    /// The text does not begin with `nacl:`.
    #[error("not a sealed value")]
    NotSealed,
    /// The version is unknown. A newer control plane may have sealed the value.
    #[error("sealed with an unknown version of the format")]
    UnknownVersion,
    /// The version, the key id or the box is missing.
    #[error("sealed value is incomplete")]
    Incomplete,
    /// The key id is not 16 lower-case hex digits.
    #[error("key id of the sealed value is malformed")]
    KeyId,
    /// The box is not standard base64 with padding.
    #[error("sealed value is not base64")]
    Base64,
    /// The box is shorter than a sealed box of the empty text.
    #[error("sealed value has {got} bytes, at least {OVERHEAD} are required")]
    TooShort {
        /// Its length in bytes.
        got: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(bytes: usize) -> String {
        STANDARD.encode(vec![7; bytes])
    }

    #[test]
    fn text_form_parses_to_the_same_value() {
        let value = SealedValue::new(KeyId(0x00ab_cdef_0123_4567), vec![7; 50]);

        assert_eq!(value.to_text(), format!("nacl:v1:00abcdef01234567:{}", boxed(50)));
        assert_eq!(value.to_text().parse(), Ok(value));
    }

    #[test]
    fn key_id_is_the_start_of_the_hash_of_the_public_key() {
        // SHA-256 of 32 zero bytes is 66687aadf862bd77 6c8fc18b8e9f8e20 ..
        assert_eq!(KeyId::of(&[0; 32]).to_string(), "66687aadf862bd77");
    }

    #[test]
    fn malformed_text_is_refused_with_its_reason() {
        use InvalidSealedValue as E;
        let good = boxed(48);
        let cases = [
            ("", E::NotSealed),
            ("plain", E::NotSealed),
            (" nacl:v1:0011223344556677:", E::NotSealed),
            ("NACL:v1:0011223344556677:", E::NotSealed),
            ("nacl:", E::Incomplete),
            ("nacl:v1", E::Incomplete),
            ("nacl:v1:", E::Incomplete),
            ("nacl:v1:0011223344556677", E::Incomplete),
            ("nacl:v2:0011223344556677:AAAA", E::UnknownVersion),
            ("nacl:V1:0011223344556677:AAAA", E::UnknownVersion),
            ("nacl::0011223344556677:AAAA", E::UnknownVersion),
            (&format!("nacl:v1::{good}"), E::KeyId),
            (&format!("nacl:v1:001122334455667:{good}"), E::KeyId),
            (&format!("nacl:v1:00112233445566778:{good}"), E::KeyId),
            (&format!("nacl:v1:001122334455667g:{good}"), E::KeyId),
            (&format!("nacl:v1:001122334455667A:{good}"), E::KeyId),
            (&format!("nacl:v1:+011223344556677:{good}"), E::KeyId),
            (&format!("nacl:v1:0011223344556677:{good}\n"), E::Base64),
            (&format!("nacl:v1:0011223344556677: {good}"), E::Base64),
            (&format!("nacl:v1:0011223344556677:{}", boxed(49).trim_end_matches('=')), E::Base64),
            ("nacl:v1:0011223344556677:a-_b", E::Base64),
            ("nacl:v1:0011223344556677:", E::TooShort { got: 0 }),
            (&format!("nacl:v1:0011223344556677:{}", boxed(47)), E::TooShort { got: 47 }),
        ];

        for (raw, want) in cases {
            assert_eq!(raw.parse::<SealedValue>(), Err(want), "{raw:?}");
        }
    }

    #[test]
    fn every_text_with_the_prefix_counts_as_sealed() {
        for (raw, want) in [("nacl:v1:..", true), ("nacl:v9:..", true), ("nacl:", true), ("nacl", false), ("", false)] {
            assert_eq!(SealedValue::claims(raw), want, "{raw:?}");
        }
    }

    #[test]
    fn debug_shows_no_ciphertext() {
        let value = SealedValue::new(KeyId(1), vec![7; 50]);

        assert_eq!(format!("{value:?}"), "SealedValue { key: KeyId(0000000000000001), bytes: 50 }");
    }
}
