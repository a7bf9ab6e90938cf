//! Users for development and tests. In production the host application owns its users.

use chrono::TimeDelta;
use gastown_domain::UserId;
use gastown_domain::ports::{Caller, MintError, StoreError};
use gastown_system::random_secret;
use secrecy::SecretString;

use crate::gastown::Gastown;

/// The lifetime of a user's token.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::days(30);

/// A user of [`Gastown::add_user`].
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user as the caller of an operation, whose identity needs no check.
    pub caller: Caller,
    /// A token for the router, valid for 30 days.
    pub token: SecretString,
}

/// The reason why a user was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddUserError {
    /// The registry or the secrets are replaced by ports, which the facade cannot write to.
    #[error("users can only be added to a database and secrets of this crate")]
    NotOurs,
    /// The registry refused the user.
    #[error("failed to store user")]
    Store(#[source] StoreError),
    /// The token could not be signed.
    #[error(transparent)]
    Token(#[from] MintError),
}

impl Gastown {
    /// Adds a user with a new pepper, or changes the pepper of an existing one. For development and tests.
    ///
    /// Errors: those of the registry, among them a table of the host with more columns than ours.
    pub async fn add_user(&self, user: &UserId) -> Result<NewUser, AddUserError> {
        let (Some(database), Some(minter)) = (&self.database, &self.minter) else { return Err(AddUserError::NotOurs) };
        let pepper = random_secret();
        database.make_user_known(user, &pepper).await.map_err(AddUserError::Store)?;
        let token = minter.mint_user_token(user, Some(&pepper), TOKEN_LIFETIME)?;
        Ok(NewUser { caller: Caller::Trusted(user.clone()), token })
    }
}
