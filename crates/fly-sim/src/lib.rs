//! A simulator of the Fly Machines API with scheduled faults.
//!
//! [`FlySim::start`] serves `/v1` on a local port, so that clients written for Fly work with it unchanged. It simulates
//! states and their timing, unique names, waits, leases, metadata, volumes that stay bound for a while, rate limits,
//! and Fly's error texts. A schedule of [`Fault`]s injects failures. A [`Workload`] supplies the programs in machines.
//! The simulator never calls the real Fly.
//!
//! Requests and answers are checked against Fly's OpenAPI document. [`FlySim::violations`] returns the differences.
//!
//! ```
//! use fly_sim::{Call, Effect, Fault, FlySim, SimConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = FlySim::start(SimConfig::fast()).await?;
//! sim.create_app("mill")?;
//! sim.inject(Fault::at(Call::CreateVolume, Effect::DropAnswer).nth(2));
//! // … run a client of Fly against `sim.url()` …
//! assert_eq!(sim.violations(), []);
//! sim.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Not simulated are IP addresses, certificates, snapshots, placements, quotas by size, and networking between machines.
//! Images are not run: a workload supplies the programs.
//!
//! Start reading at `gateway/mod.rs` (the path of a call), then `world/model.rs` (the entities) and
//! `world/transitions.rs` (their changes over time). `api_error.rs` lists the error answers.

/// The README and the pages, whose Rust is run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/fly-sim/offline-tests.md")]
struct Pages;

mod access_log;
mod activity;
mod api;
mod api_error;
mod attachment;
mod builder;
mod call_log;
mod capacity;
mod clock;
pub mod command;
mod config;
mod contract;
mod control_api;
mod control_state;
mod death;
mod faults;
mod gateway;
mod ids;
mod image;
mod machine_state;
mod operations;
mod policy;
mod program_call;
mod rate_limit;
mod regions;
mod reply;
mod request_body;
mod route;
mod rules;
mod scenario;
mod seed;
mod server;
mod sim;
mod sim_state;
mod snapshot;
mod state_file;
mod timing;
mod workload;
mod world;

pub use access_log::AccessLog;
pub use api::ExecMode;
pub use attachment::AttachError;
pub use builder::Builder;
pub use call_log::{CallRecord, Calls};
pub use capacity::Capacity;
pub use config::SimConfig;
pub use contract::{Side, SpecError, Violation};
pub use death::Death;
pub use faults::{Effect, Fault, ScheduledFault};
pub use machine_state::State;
pub use operations::coverage_page;
pub use policy::Policy;
pub use program_call::ProgramCall;
pub use rate_limit::RateLimits;
pub use route::Call;
pub use scenario::Scenario;
pub use seed::{AppSeed, MachineSeed, SeedDocument, SeedError, SeededMachine, SeededVolume, VolumeSeed};
pub use sim::{FlySim, SetupError, StartError};
pub use snapshot::{MachineSnapshot, VolumeSnapshot};
pub use state_file::StateFileError;
pub use timing::Timing;
pub use workload::{Boot, Files, Host, Program, ProgramAnswer, ProgramRequest, Workload, WorkloadError};
pub use world::{AppAccess, StateError};
