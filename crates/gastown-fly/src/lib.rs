//! Client of the Fly Machines API; implements the domain's ports for machines, volumes and apps.
//!
//! It speaks Fly's words inwards ([`api`], pure and snapshot-tested) and the domain's words outwards. It never retries
//! (the driver does), never shows Fly's texts to users, and never lets the token out of its header.
//!
//! Where to start: [`FlyClient`] makes every call; [`classify`](classify()) is the one table that says what a refusal
//! means; `ports/` and `lines.rs` are the ports.

pub mod api;
mod client;
mod error;
mod fly;
mod https;
mod lines;
mod mapping;
mod ports;
mod rate_limit;
mod recently_created;
mod refusal;
mod rubbish;
mod sanitize;
mod settings;
mod transport;

pub use client::FlyClient;
pub use error::FlyError;
pub use fly::{AppPolicy, Fly};
pub use https::{HttpsTransport, SetUpError};
pub use rate_limit::Queue;
pub use refusal::{Refusal, Scope, classify};
pub use settings::{AnswerSizes, BaseUrl, InvalidBaseUrl, PUBLIC_BASE_URL, Pacing, Rate, Rates, Timeouts};
pub use transport::{Cause, Reply, Transport, TransportError};
