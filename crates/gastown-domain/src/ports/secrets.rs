//! What must not be readable in a machine's configuration, and the keys per town.

use secrecy::SecretString;

use super::BoxError;
use crate::TownId;

/// A value could not be sealed. There is no fall-back to plain text (FM-42).
#[derive(Debug, thiserror::Error)]
#[error("the value could not be sealed")]
pub struct SealError {
    /// What the cipher says; never the value.
    #[source]
    pub cause: BoxError,
}

/// Seals values with the image's public key; only a sandbox can open them.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Sealer: Send + Sync {
    /// The sealed form: `nacl:v1:<key id>:<base64>`.
    fn seal(&self, value: &SecretString) -> Result<String, SealError>;
}

/// The internal API key of each town: derived from its id, so that one sandbox cannot speak for another (FM-37).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait TownKeys: Send + Sync {
    /// The key a machine is configured with.
    fn key_of(&self, town: TownId) -> SecretString;

    /// The keys a running sandbox may have: the one of [`TownKeys::key_of`], then those from before a rotation, which a
    /// machine keeps until its town is stopped and started.
    fn keys_of(&self, town: TownId) -> Vec<SecretString>;

    /// Whether this is the town's key, in constant time.
    fn verify(&self, town: TownId, key: &SecretString) -> bool;
}
