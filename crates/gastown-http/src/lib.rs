//! The thin HTTP adapter: the tRPC wire protocol, who asks, health probes.
//!
//! It parses at the edge, calls one method of a port of `gastown-domain` and renders the answer. It decides nothing about
//! towns, opens no connection of its own and knows no adapter.
//!
//! Start reading at [`router`], which puts everything together; [`trpc`] is the protocol, which knows no town;
//! [`procedures`] lists what can be called, with one file for each behind it.

mod adapter;
mod caller;
mod failure;
mod input;
mod output;
mod probes;
mod procedures;
pub mod trpc;

pub use adapter::{HttpParts, HttpSettings, router};
pub use procedures::procedures;
