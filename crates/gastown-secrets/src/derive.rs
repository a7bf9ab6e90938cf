//! The internal API key of a town. Its sandbox and the control plane authenticate to each other with it.
//!
//! The key is the HMAC-SHA256 of the town's id under a secret of the control plane. Each town has its own key, so a
//! leaked key is of no use for another town. Nothing is stored. A re-created town has a new id and therefore a new key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gastown_domain::TownId;
use gastown_domain::ports::TownKeys;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

/// The prefix of the authenticated text, so that the secret never signs the same text for another purpose.
const DOMAIN: &str = "gastown-internal-api-key:v1:";
/// The text whose authentication code is the id of the secret. No town's text begins like it.
const KEY_ID: &str = "gastown-internal-api-key-id:v1";
/// The shortest secret that cannot be guessed from one leaked key. The settings of the server require 32 bytes.
const MIN_SECRET_BYTES: usize = 16;

/// Derives and verifies the towns' internal API keys from `INTERNAL_API_SECRET`.
pub struct DerivedTownKeys {
    current: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
}

impl DerivedTownKeys {
    /// Derives keys from this secret, of at least 16 bytes.
    pub fn new(secret: &SecretString) -> Result<Self, SecretTooShort> {
        Ok(Self { current: keyed(secret)?, previous: Vec::new() })
    }

    /// Also accepts keys derived from an earlier secret, because machines keep their key until the next start. New keys
    /// are never derived from it.
    pub fn accepting_previous(mut self, secret: &SecretString) -> Result<Self, SecretTooShort> {
        self.previous.push(keyed(secret)?);
        Ok(self)
    }
}

impl TownKeys for DerivedTownKeys {
    /// Returns the key as base64url without padding, 43 characters. It is the same for the same town and secret.
    fn key_of(&self, town: TownId) -> SecretString {
        derived(&self.current, town)
    }

    fn keys_of(&self, town: TownId) -> Vec<SecretString> {
        std::iter::once(&self.current).chain(&self.previous).map(|keyed| derived(keyed, town)).collect()
    }

    fn key_id(&self) -> String {
        let mac = self.current.clone().chain_update(KEY_ID).finalize().into_bytes();
        format!("{:016x}", mac.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte)))
    }

    fn verify(&self, town: TownId, key: &SecretString) -> bool {
        let presented = key.expose_secret().as_bytes();
        let matches = |mac| derived(mac, town).expose_secret().as_bytes().ct_eq(presented);
        // All secrets are tried, so that the time does not depend on the match.
        self.previous.iter().map(matches).fold(matches(&self.current), |any, one: Choice| any | one).into()
    }
}

impl fmt::Debug for DerivedTownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedTownKeys").field("previous", &self.previous.len()).finish_non_exhaustive()
    }
}

fn keyed(secret: &SecretString) -> Result<Hmac<Sha256>, SecretTooShort> {
    let bytes = secret.expose_secret().as_bytes();
    match Hmac::new_from_slice(bytes) {
        Ok(mac) if bytes.len() >= MIN_SECRET_BYTES => Ok(mac),
        _ => Err(SecretTooShort { got: bytes.len() }),
    }
}

fn derived(keyed: &Hmac<Sha256>, town: TownId) -> SecretString {
    let mac = keyed.clone().chain_update(DOMAIN).chain_update(town.to_string()).finalize();
    SecretString::from(URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}

/// The secret for the towns' keys is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("secret has {got} bytes, at least {MIN_SECRET_BYTES} are required")]
pub struct SecretTooShort {
    /// Its length in bytes.
    pub got: usize,
}
