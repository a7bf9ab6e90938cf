//! Client of the Fly Machines API; implements the domain's ports for machines, volumes and apps.
//!
//! Requests and answers are in Fly's terms ([`api`], pure and snapshot-tested). The ports are in the domain's terms. The
//! client never retries a call, never shows Fly's texts to users, and sends the token in its header only.
//!
//! Start reading at [`FlyClient`], which sends every call. [`classify`] is the one table of what a refusal means, and
//! `ports/` implements the ports.

pub mod api;
mod client;
mod details;
mod error;
mod fly;
mod https;
mod mapping;
mod ports;
mod rate_limit;
mod recently_created;
mod refusal;
mod sanitize;
mod settings;
mod transport;

pub use client::FlyClient;
pub use details::{AppDetails, MachineDetails, VolumeDetails};
pub use error::FlyError;
pub use fly::Fly;
pub use https::{HttpsTransport, SetUpError};
pub use mapping::names::{
    FlyAppName, FlyAppPrefix, FlyRegion, machine_name, tag_of_machine_name, tag_of_volume_name, volume_name,
};
pub use rate_limit::{InvalidRateLimits, QueueStats, Rate, RateLimiting, Rates};
pub use refusal::{Refusal, Scope, classify};
pub use settings::{AnswerSizes, BaseUrl, InvalidBaseUrl, PUBLIC_BASE_URL, Timeouts};
pub use transport::{Cause, Reply, Transport, TransportError};
