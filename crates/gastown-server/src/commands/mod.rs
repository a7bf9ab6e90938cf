//! What the binary does, one file per command.

pub mod dev;
pub mod migrate;
pub mod serve;
mod shutdown;
pub mod unseal;
