//! Seals the secrets in a machine's configuration, and derives the towns' keys.
//!
//! The control plane has a [`PublicSealingKey`] and can only seal. A sandbox has the [`SandboxKey`] and opens its
//! environment with [`open_env`] at boot. There is no fallback to plain text: a value that cannot be opened is an error,
//! which names the variable and never the value.
//!
//! [`DerivedTownKeys`] derives a town's internal API key, which is never stored.
//!
//! ```
//! use gastown_secrets::{SandboxKey, open_env};
//! use secrecy::{ExposeSecret, SecretString};
//!
//! let sandbox = SandboxKey::generate();
//! let sealed = sandbox.public_key().seal(&SecretString::from("token"))?;
//! assert!(sealed.to_text().starts_with("nacl:v1:"));
//!
//! assert_eq!(sandbox.open(&sealed.to_text())?.expose_secret(), "token");
//! let env = open_env(&[sandbox], [("KILO_JWT", sealed.to_text()), ("PORT", "8080".to_owned())])?;
//! assert_eq!(env.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Start reading at `format.rs`, the format of a sealed value, then `seal.rs` and `open.rs`. `derive.rs` is independent.

mod boot;
mod derive;
mod env;
mod format;
mod open;
mod seal;

pub use boot::{PREVIOUS_PRIVATE_KEY, PRIVATE_KEY, REQUIRED_VARIABLES};
pub use derive::{DerivedTownKeys, SecretTooShort};
pub use env::{EnvFailure, EnvValue, OpenEnvError, open_env};
pub use format::{InvalidSealedValue, KeyId, SealedValue};
pub use open::{OpenError, SandboxKey, open_with};
pub use seal::{CipherRefused, InvalidKey, PublicSealingKey};
