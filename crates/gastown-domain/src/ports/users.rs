//! The users of the host application.

use async_trait::async_trait;
use secrecy::SecretString;

use super::StoreError;
use crate::UserId;

/// A row of `kilocode_users`.
#[derive(Debug, Clone)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The pepper that the user's tokens must carry. Changing it revokes them.
    pub pepper: Option<SecretString>,
    /// True if the host application has blocked the user. A blocked user creates and starts no towns and gets no tokens, but
    /// may still read, stop and destroy them.
    pub is_blocked: bool,
}

/// The users.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Users: Send + Sync {
    /// Returns the user with this id.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;
}

/// The readiness of the service.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Checks the database. An error means that the service is not ready.
    async fn ready(&self) -> Result<(), StoreError>;
}
