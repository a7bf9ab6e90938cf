//! Gastown Cloud in a Rust service: it creates, starts, stops and destroys towns, and serves them over tRPC.
//!
//! A *town* is one user's Gas Town, a machine with a volume at a provider. [`Gastown::builder`] collects a database, a
//! provider and secrets. [`GastownBuilder::build`] checks all of it at once and connects. The result has three parts:
//!
//! - [`Gastown::towns`] has the operations, which the host's code calls through the port [`Towns`].
//! - [`Gastown::router`] is an axum router with the tRPC procedures, for users' clients and for sandboxes.
//! - [`Gastown::run`] does the background work until it is stopped. Every process of a service runs it.
//!
//! [`Gastown::simulated`] is the whole of it offline, with a simulated Fly and SQLite in memory:
//!
//! ```
//! # #[cfg(feature = "sim")]
//! # async fn first_town() -> Result<(), Box<dyn std::error::Error>> {
//! use gastown::{CreateTown, Gastown, Towns};
//!
//! let gastown = Gastown::simulated().build().await?;
//! let alice = gastown.add_user(&"alice".parse()?).await?.caller;
//! let town = gastown.towns().create_town(&alice, CreateTown::named("mill".parse()?)).await?.town;
//! println!("{} is {}", town.name, town.status);
//! # Ok(())
//! # }
//! # #[cfg(feature = "sim")]
//! # gastown::tokio::runtime::Runtime::new().unwrap().block_on(first_town()).unwrap();
//! ```
//!
//! # Features
//!
//! | Feature | Adds |
//! | --- | --- |
//! | `postgres` (default) | the registry on Postgres |
//! | `sqlite` | the registry on SQLite, beside Postgres |
//! | `fly` (default) | machines and volumes at Fly.io, and the API inside their sandboxes |
//! | `http` (default) | the tRPC router |
//! | `server` | a server of its own for the router, with limits of connections |
//! | `metrics` | metrics in Prometheus text |
//! | `sim` | a simulated Fly with sandboxes and scheduled faults |
//! | `mock` | mocks of every port, and samples of values for tests |
//!
//! Without a feature, the ports that it implements are given by the host. Every port is an object-safe trait in [`ports`], and
//! has a method of the builder.

mod background;
mod build_error;
mod builder;
#[cfg(test)]
mod captured_log;
#[cfg(feature = "postgres")]
mod database;
#[cfg(feature = "metrics")]
mod figures;
#[cfg(feature = "server")]
mod file_descriptors;
#[cfg(feature = "fly")]
mod fly;
mod gastown;
mod given;
#[cfg(feature = "http")]
mod http;
mod http_url;
mod plan;
mod ports_of_builder;
#[cfg(feature = "fly")]
mod queue_stats;
mod secrets;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "sim")]
mod simulated;
#[cfg(feature = "postgres")]
mod users;

pub use build_error::{BuildError, Mistake, Mistakes};
pub use builder::GastownBuilder;
#[cfg(feature = "postgres")]
pub use database::open_database;
#[cfg(feature = "fly")]
pub use fly::FlySettings;
pub use gastown::Gastown;
pub use given::Given;
pub use http_url::{HttpUrl, is_private_host, require_https};
pub use secrets::SecretSettings;
#[cfg(feature = "server")]
pub use server::local_url;
#[cfg(feature = "sim")]
pub use simulated::SimulatedFly;
#[cfg(feature = "postgres")]
pub use users::{AddUserError, NewUser};

pub use gastown_domain as domain;
pub use gastown_domain::ports;
pub use gastown_domain::ports::{Caller, CreateTown, DestroyTown, TownError, TownReport, TownState, Towns};
pub use gastown_domain::{Failure, Town, TownConfig, TownId, TownName, TownStatus, UserId};
pub use gastown_orchestrator::{Policy, SandboxEnv, TownService, ValidPolicy};
pub use gastown_secrets as sealing;
pub use gastown_system as system;

#[cfg(feature = "http")]
pub use axum;
#[cfg(feature = "sim")]
pub use fly_sim;
#[cfg(feature = "fly")]
pub use gastown_fly::{self as fly_api, RateLimiting};
#[cfg(feature = "http")]
pub use gastown_http as http_api;
#[cfg(feature = "metrics")]
pub use gastown_metrics::{self as metrics, PrometheusMetrics};
#[cfg(feature = "postgres")]
pub use gastown_persistence::{self as registry, Database, DatabaseSettings};
#[cfg(feature = "sim")]
pub use gastown_sandbox_sim as sandbox_sim;
pub use secrecy::{ExposeSecret, SecretString};
pub use tokio;
pub use tokio_util::sync::CancellationToken;
