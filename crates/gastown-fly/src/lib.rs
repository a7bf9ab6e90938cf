//! Client of the Fly Machines API; implements the domain's ports for machines, volumes and apps.
//!
//! It speaks Fly's words inwards ([`api`], pure and snapshot-tested) and the domain's words outwards. It never retries
//! (the driver does), never shows Fly's texts to users, and never lets the token out of its header.
//!
//! Where to start: [`FlyClient`] makes every call; [`classify`](classify()) is the one table that says what a refusal
//! means; `machines.rs`, `volumes.rs`, `apps.rs`, `inventory.rs` and `lines.rs` are the ports.

pub mod api;
mod apps;
mod classify;
mod client;
mod error;
mod excerpt;
mod fly;
mod https;
mod inventory;
mod lines;
mod machines;
mod pace;
mod port_error;
mod rubbish;
mod settings;
mod sight;
mod spec;
mod transport;
mod volumes;
mod young;

pub use classify::{Refusal, Scope, classify};
pub use client::FlyClient;
pub use error::FlyError;
pub use fly::{AppPolicy, Fly};
pub use https::{HttpsTransport, SetUpError};
pub use pace::Queue;
pub use settings::{AnswerSizes, BaseUrl, InvalidBaseUrl, PUBLIC_BASE_URL, Pacing, Rate, Rates, Timeouts};
pub use transport::{Cause, Reply, Transport, TransportError};
