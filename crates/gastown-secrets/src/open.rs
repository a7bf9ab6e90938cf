//! Opens sealed values, which only a sandbox can do.

use std::fmt;
use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::SecretKey;
use crypto_box::aead::OsRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use thiserror::Error;

use crate::format::{InvalidSealedValue, KeyId, SealedValue};
use crate::seal::{InvalidKey, PublicSealingKey, parse_key_bytes};

/// The X25519 private key of a sandbox image. It opens the values that its [`PublicSealingKey`] sealed.
///
/// Only sandboxes and the simulator have it, never the control plane. The bytes are wiped on drop, and `Debug` shows only
/// the id.
pub struct SandboxKey {
    bytes: SecretBox<[u8; 32]>,
    public: PublicSealingKey,
}

impl SandboxKey {
    /// Generates a key pair from the operating system's randomness, for development and for an operator's first key.
    pub fn generate() -> Self {
        Self::of(&SecretKey::generate(&mut OsRng))
    }

    /// Parses a private key: base64 (standard alphabet) or hex of its 32 bytes.
    pub fn parse(secret: &SecretString) -> Result<Self, InvalidKey> {
        let bytes = parse_key_bytes(secret.expose_secret())?;
        Ok(Self::of(&SecretKey::from_bytes(*bytes)))
    }

    fn of(key: &SecretKey) -> Self {
        Self { bytes: SecretBox::new(Box::new(key.to_bytes())), public: PublicSealingKey::of(key.public_key()) }
    }

    /// Returns the key that seals for this one.
    pub fn public_key(&self) -> &PublicSealingKey {
        &self.public
    }

    /// Returns the id in values that were sealed for this key.
    pub fn key_id(&self) -> KeyId {
        self.public.key_id()
    }

    /// Returns the key as base64, to be stored as the sandbox's secret. [`SandboxKey::parse`] accepts it.
    pub fn to_secret(&self) -> SecretString {
        SecretString::from(STANDARD.encode(self.bytes.expose_secret()))
    }

    /// Opens one sealed value in its text form.
    pub fn open(&self, sealed: &str) -> Result<SecretString, OpenError> {
        open_with(slice::from_ref(self), sealed)
    }

    fn unseal(&self, value: &SealedValue) -> Result<SecretString, OpenError> {
        // Created for each value, because `crypto_box` wipes only a part of its key on drop. `bytes` is wiped whole.
        let key = SecretKey::from_bytes(*self.bytes.expose_secret());
        let plain = Zeroizing::new(key.unseal(value.ciphertext()).map_err(|_| OpenError::Tampered)?);
        let text = str::from_utf8(&plain).map_err(|_| OpenError::NotText)?;
        Ok(SecretString::from(text))
    }
}

impl fmt::Debug for SandboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxKey").field("id", &self.key_id()).finish_non_exhaustive()
    }
}

/// Opens one sealed value with the key that it names. During a rotation an image has the new key and the previous one,
/// until no configuration is left that was sealed for the previous key.
pub fn open_with(keys: &[SandboxKey], sealed: &str) -> Result<SecretString, OpenError> {
    let value: SealedValue = sealed.parse()?;
    let wanted = value.key_id();
    let key = keys.iter().find(|key| key.key_id() == wanted).ok_or(OpenError::UnknownKey { key: wanted })?;
    key.unseal(&value)
}

/// The reason why a sealed value cannot be opened. It contains no part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The text does not have the format of sealed values.
    #[error(transparent)]
    Malformed(#[from] InvalidSealedValue),
    /// The value was sealed for a key pair whose private key is not available.
    #[error("sealed for key {key}, which is not available")]
    UnknownKey {
        /// The id of that key pair.
        key: KeyId,
    },
    /// The box was altered, or was not sealed for the key that it names.
    #[error("sealed value was altered")]
    Tampered,
    /// The content of the box is not UTF-8.
    #[error("content of the sealed value is not text")]
    NotText,
}
