//! Mints gateway tokens for sandboxes and verifies the tokens of users.
//!
//! Both are signed with HS256 and the host application's secret, and share most claims. The claim `type` distinguishes
//! them: a gateway token must have it, and a user's token must not. The crate reads no database. The caller must compare
//! the pepper in a token with the user's current one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use chrono::{DateTime, TimeDelta, Utc};
//! use gastown_domain::ports::{Clock, UserTokens};
//! use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
//! use secrecy::{ExposeSecret, SecretString};
//!
//! struct Noon;
//!
//! impl Clock for Noon {
//!     fn now(&self) -> DateTime<Utc> {
//!         DateTime::from_timestamp(1_788_264_000, 0).unwrap_or_default()
//!     }
//! }
//!
//! let keys = TokenKeys::new(&SecretString::from("a secret of at least thirty-two bytes"))?;
//! let minter = TokenMinter::new(keys.clone(), Arc::new(Noon));
//! let token = minter.mint_user_token(&"alice".parse()?, None, TimeDelta::hours(1))?;
//!
//! let verified = TokenVerifier::new(keys, Arc::new(Noon)).verify(token.expose_secret())?;
//! assert_eq!(verified.user.as_str(), "alice");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Start reading at `claims.rs`, then `mint.rs` and `verify.rs`.

mod claims;
mod keys;
mod mint;
mod rejection;
mod verify;

pub use keys::{SecretTooShort, TokenKeys};
pub use mint::{LifetimeTooLong, TokenMinter};
pub use rejection::Rejection;
pub use verify::TokenVerifier;
