//! The tRPC protocol over HTTP for queries and mutations: single, batched and batch-streamed.
//!
//! This module knows no town. It turns a request into calls of the procedures of a [`Router`], runs them side by side
//! and writes what `@trpc/client` (10 and 11) expects. The order in which a request is looked at is part of the
//! protocol: path, content type, batch, and then for each call procedure, method, [`Guard`], [`Input`], handler.
//! Neither body nor `input=` is touched before the guard has let the caller in.
//!
//! Start reading at `serve.rs`. Subscriptions would be a further [`Kind`].

mod body;
mod code;
mod envelope;
mod error;
mod query;
mod request;
mod router;
mod serve;
mod stream;

pub use code::Code;
pub use error::CallError;
pub use router::{Failure, Guard, Input, Kind, Output, Router, Undefined, Written};
pub(crate) use serve::whole_request;
pub use serve::{Settings, service};
