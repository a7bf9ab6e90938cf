//! The seams to the outside, in the domain's words: object-safe traits, each with a mockall mock behind the feature
//! `mock`. Adapters implement them; the orchestrator and the HTTP adapter see nothing else.
//!
//! Which crate implements what: persistence [`Registry`], [`Rigs`], [`Operations`], [`Users`], [`Readiness`]; fly
//! [`Apps`], [`Machines`], [`Volumes`]; sandbox [`Sandboxes`]; jwt [`TokenMint`], [`UserTokens`]; secrets [`Sealer`],
//! [`TownKeys`]; orchestrator [`Towns`], [`HomeCalls`]; the server [`Clock`], [`Ids`], [`Dice`].

mod clock;
mod home;
mod operations;
mod provider;
mod registry;
mod sandboxes;
mod secrets;
mod store;
mod tokens;
mod towns;
mod users;

pub use clock::*;
pub use home::*;
pub use operations::*;
pub use provider::*;
pub use registry::*;
pub use sandboxes::*;
pub use secrets::*;
pub use store::*;
pub use tokens::*;
pub use towns::*;
pub use users::*;

/// A cause that a port keeps and does not look into.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
