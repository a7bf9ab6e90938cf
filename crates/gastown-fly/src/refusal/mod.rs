//! The reasons for which Fly refuses a call, and how they are read from its answers.

mod classify;
mod reason;

pub use classify::classify;
pub use reason::{Refusal, Scope};
