//! The internal API key of a town: what its sandbox shows to the control plane, and the control plane to it.
//!
//! HMAC-SHA256 of the town's id under one secret of the control plane. So each town has a key of its own, a sandbox
//! that leaks or abuses its key speaks for no other town, nothing has to be stored, and a re-created town, which has a
//! new id, has a new key.

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

/// Stands before the town's id in what is authenticated, so that the secret never signs the same text for another use.
const DOMAIN: &str = "gastown-internal-api-key:v1:";
/// Below this many bytes a secret can be guessed from one leaked key.
const LEAST_SECRET_BYTES: usize = 16;

/// Derives and checks the towns' internal API keys from `INTERNAL_API_SECRET`.
pub struct DerivedTownKeys {
    current: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
}

impl DerivedTownKeys {
    /// Keys are derived from this secret, of at least 16 bytes.
    pub fn new(secret: &SecretString) -> Result<Self, SecretTooShort> {
        Ok(Self { current: keyed(secret)?, previous: Vec::new() })
    }

    /// Accepts keys derived from an earlier secret as well: machines keep the key they were configured with until
    /// their next start. New keys are never derived from it.
    pub fn accepting_previous(mut self, secret: &SecretString) -> Result<Self, SecretTooShort> {
        self.previous.push(keyed(secret)?);
        Ok(self)
    }
}

impl TownKeys for DerivedTownKeys {
    /// Base64url without padding, 43 characters. The same for the same town and secret.
    fn key_of(&self, town: TownId) -> SecretString {
        derived(&self.current, town)
    }

    fn keys_of(&self, town: TownId) -> Vec<SecretString> {
        std::iter::once(&self.current).chain(&self.previous).map(|keyed| derived(keyed, town)).collect()
    }

    fn verify(&self, town: TownId, key: &SecretString) -> bool {
        let presented = key.expose_secret().as_bytes();
        let matches = |mac| derived(mac, town).expose_secret().as_bytes().ct_eq(presented);
        // Every secret is tried, whether or not one before it matched.
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
        Ok(mac) if bytes.len() >= LEAST_SECRET_BYTES => Ok(mac),
        _ => Err(SecretTooShort { got: bytes.len() }),
    }
}

fn derived(keyed: &Hmac<Sha256>, town: TownId) -> SecretString {
    let mac = keyed.clone().chain_update(DOMAIN).chain_update(town.to_string()).finalize();
    SecretString::from(URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}

/// The secret that keys are derived from is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("secret has {got} bytes where at least {LEAST_SECRET_BYTES} are needed")]
pub struct SecretTooShort {
    /// How many bytes it has.
    pub got: usize,
}
