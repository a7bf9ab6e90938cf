//! The host application's users, as far as they matter here.

use async_trait::async_trait;
use secrecy::SecretString;

use super::StoreError;
use crate::UserId;

/// A row of `kilocode_users`.
#[derive(Debug, Clone)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// What the user's tokens must carry; rotating it revokes them.
    pub pepper: Option<SecretString>,
}

/// The users.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Users: Send + Sync {
    /// The user of this id.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;
}

/// Whether the service can do its work.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Asks the database; an error means not ready.
    async fn ready(&self) -> Result<(), StoreError>;
}
