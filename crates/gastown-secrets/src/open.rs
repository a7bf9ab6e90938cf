//! Opening: what only a sandbox can do.

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

/// The X25519 private key of a sandbox image: opens what its [`PublicSealingKey`] sealed.
///
/// It lives in the sandbox (and in the simulator), never in the control plane. The bytes are wiped when the key is
/// dropped, and `Debug` shows the id alone.
pub struct SandboxKey {
    bytes: SecretBox<[u8; 32]>,
    public: PublicSealingKey,
}

impl SandboxKey {
    /// Makes a fresh key pair from the operating system's randomness: for development, and for an operator's first key.
    pub fn generate() -> Self {
        Self::of(&SecretKey::generate(&mut OsRng))
    }

    /// Reads a private key: base64 (standard alphabet) or hex of its 32 bytes.
    pub fn parse(secret: &SecretString) -> Result<Self, InvalidKey> {
        let bytes = parse_key_bytes(secret.expose_secret())?;
        Ok(Self::of(&SecretKey::from_bytes(*bytes)))
    }

    fn of(key: &SecretKey) -> Self {
        Self { bytes: SecretBox::new(Box::new(key.to_bytes())), public: PublicSealingKey::of(key.public_key()) }
    }

    /// The key that seals for this one.
    pub fn public_key(&self) -> &PublicSealingKey {
        &self.public
    }

    /// The id that values sealed for this key carry.
    pub fn key_id(&self) -> KeyId {
        self.public.key_id()
    }

    /// The key as base64, in the form [`SandboxKey::parse`] reads: to be stored as the sandbox's secret.
    pub fn to_secret(&self) -> SecretString {
        SecretString::from(STANDARD.encode(self.bytes.expose_secret()))
    }

    /// Opens one sealed value, given in its text form.
    pub fn open(&self, sealed: &str) -> Result<SecretString, OpenError> {
        open_with(slice::from_ref(self), sealed)
    }

    fn unseal(&self, value: &SealedValue) -> Result<SecretString, OpenError> {
        // Made anew for each value: `crypto_box` wipes only a part of its key on drop, so ours is the one that is kept.
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

/// Opens one sealed value with whichever of the keys it was sealed for. A rotation gives an image the new key and the
/// old one, until no machine is left whose configuration was sealed for the old.
pub fn open_with(keys: &[SandboxKey], sealed: &str) -> Result<SecretString, OpenError> {
    let value: SealedValue = sealed.parse()?;
    let wanted = value.key_id();
    let key = keys.iter().find(|key| key.key_id() == wanted).ok_or(OpenError::UnknownKey { key: wanted })?;
    key.unseal(&value)
}

/// Why a sealed value stays closed. Carries nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The text is not in the format.
    #[error(transparent)]
    Malformed(#[from] InvalidSealedValue),
    /// Sealed for a key pair whose private half is not here.
    #[error("sealed for key {key}, which is not at hand")]
    UnknownKey {
        /// The key it was sealed for.
        key: KeyId,
    },
    /// The box was altered on its way, or was not made for the key it names.
    #[error("sealed value was tampered with")]
    Tampered,
    /// The box opened, and what is inside is not UTF-8.
    #[error("content of the sealed value is not text")]
    NotText,
}
