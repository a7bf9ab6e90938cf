//! Seals what must not be readable in a machine's configuration and derives the per-town keys.
//!
//! The control plane holds a [`PublicSealingKey`] and can only seal; a sandbox holds the [`SandboxKey`] and opens its
//! environment with [`open_env`] when it boots. Nothing here falls back to plain text: a value that cannot be opened
//! is an error that names the variable and never the value.
//!
//! Start reading at `format.rs` (what a sealed value looks like), then `seal.rs` and `open.rs`.

mod env;
mod format;
mod open;
mod seal;

pub use env::{EnvFailure, EnvValue, OpenEnvError, open_env};
pub use format::{InvalidSealedValue, KeyId, SealedValue};
pub use open::{OpenError, SandboxKey, open_with};
pub use seal::{InvalidKey, PublicSealingKey, SealError};
