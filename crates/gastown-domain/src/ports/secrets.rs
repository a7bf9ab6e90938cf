//! Sealed values of a machine's configuration, and the keys of each town.

use secrecy::SecretString;

use super::BoxError;
use crate::TownId;

/// A value that could not be sealed. There is no fallback to plain text (FM-42).
#[derive(Debug, thiserror::Error)]
#[error("failed to seal value")]
pub struct SealError {
    /// The error of the cipher. It never contains the value.
    #[source]
    pub cause: BoxError,
}

/// Seals values with the image's public key. Only a sandbox can open them.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Sealer: Send + Sync {
    /// Returns the sealed form, `nacl:v1:<key id>:<base64>`.
    fn seal(&self, value: &SecretString) -> Result<String, SealError>;
}

/// The internal API key of each town, derived from its id, so that a sandbox cannot act as another one (FM-37).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait TownKeys: Send + Sync {
    /// Returns the key that a new machine is configured with.
    fn key_of(&self, town: TownId) -> SecretString;

    /// Returns all keys that a running sandbox may have, beginning with that of [`TownKeys::key_of`].
    ///
    /// After a rotation, a machine keeps its old key until its town is stopped and started.
    fn keys_of(&self, town: TownId) -> Vec<SecretString>;

    /// Returns the id of the secret behind [`TownKeys::key_of`], 16 lower-case hex digits. It reveals nothing of the secret.
    ///
    /// A machine is configured with the id too, so an operator can see which machines still have an old key.
    fn key_id(&self) -> String;

    /// Returns true if this is a key of the town. Takes constant time.
    fn verify(&self, town: TownId, key: &SecretString) -> bool;
}
