//! The HTTP adapter: the tRPC wire protocol, authentication of callers, health probes.
//!
//! It parses input, calls one method of a port of `gastown-domain` and renders the result. It decides nothing about
//! towns and depends on no other adapter.
//!
//! Start reading at [`router`], which puts everything together. [`trpc`] is the protocol and independent of towns.
//! [`procedures`] lists the procedures, each in a file of its own. [`connections`] serves the router within limits.

mod adapter;
mod caller;
pub mod connections;
mod failure;
mod handler_runtime;
mod headers;
mod host;
mod input;
mod output;
mod parts;
mod probes;
mod procedures;
mod reason;
mod refusals;
mod rejections;
mod request_id;
mod request_span;
#[cfg(feature = "schema")]
pub mod schema;
mod traceparent;
pub mod trpc;

pub use adapter::{router, traced};
pub use handler_runtime::HandlerRuntime;
pub use parts::{HttpParts, HttpSettings};
pub use procedures::procedures;
pub use reason::Reason;
