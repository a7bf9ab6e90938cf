//! The tRPC protocol over HTTP: queries and mutations, single, batched and batch-streamed, and subscriptions.
//!
//! This module is independent of towns. It turns a request into calls of the procedures of a [`Router`], and runs a few of
//! them at a time. It writes the answers that `@trpc/client` (10 and 11) expects. The order of the checks is part of the
//! protocol. For the request: path, content type, batch. For each call: procedure, method, [`Guard`], [`Input`],
//! admission, handler.
//! Neither the body nor `input=` is read before the guard has admitted the caller.
//!
//! Each call runs in a span `call` with the fields `procedure`, `user.id` and `town.id`. Guards and handlers record the
//! latter two.
//!
//! Start reading at `serve.rs`. Subscriptions are in `subscription.rs`, and their events in `sse.rs`. A few procedures are plain
//! routes too (`plain.rs`).

mod admission;
mod answer;
mod body;
mod code;
mod cut;
mod envelope;
mod error;
mod per_caller;
mod plain;
mod query;
mod request;
mod router;
mod serve;
mod settings;
mod sse;
mod start;
mod stream;
mod subscription;

pub use admission::AdmissionLimits;
pub use code::Code;
pub(crate) use cut::{cut, cut_method};
pub use error::CallError;
pub use router::{Failure, Guard, Input, Kind, Output, Router, Undefined, Written};
pub(crate) use serve::whole_request;
pub use serve::{Routes, routes};
pub use settings::Settings;
pub use sse::Tracked;
pub(crate) use subscription::ConnectionEnd;
pub use subscription::{ConnectionParams, WatcherLimits};
