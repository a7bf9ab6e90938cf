//! A simulator of the Fly Machines API and of the sandboxes on it, with faults on schedule.
//!
//! [`FlySim::start`] serves `/v1` on a local port, close enough that clients written for Fly drive it unchanged:
//! states and their timing, names and their uniqueness, waits, leases, metadata, volumes that stay bound a while,
//! rate limits, and Fly's own words for every refusal. A sandbox runs on every started machine and keeps its rigs on
//! the machine's volume. What goes wrong is a schedule of [`Fault`]s. It never talks to the real Fly.
//!
//! Requests and answers are held against Fly's OpenAPI document; [`FlySim::violations`] has what did not agree.
//!
//! ```
//! use fly_sim::{Call, Effect, Fault, FlySim, SimConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = FlySim::start(SimConfig::fast()).await?;
//! sim.create_app("mill")?;
//! sim.inject(Fault::at(Call::CreateVolume, Effect::DropAnswer).nth(2));
//! // … let a client of Fly work against `sim.url()` …
//! assert_eq!(sim.violations(), []);
//! sim.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Not simulated: IP addresses, certificates, snapshots, placements, quotas by size, networking between machines, and
//! what an image does beyond the sandbox's own API.
//!
//! Start reading at `gateway.rs` (the way of a call), then `world/mod.rs` (what there is) and `world/transitions.rs`
//! (what time does to it). `refusal.rs` has every way to say no.

mod api;
mod api_error;
mod call_log;
mod capacity;
mod clock;
mod config;
mod contract;
mod control_api;
mod death;
mod faults;
mod gateway;
mod ids;
mod machine_state;
mod rate_limit;
mod reply;
mod route;
mod rules;
mod sandbox;
mod sandbox_process;
mod sandbox_rules;
mod seed;
mod server;
mod sim;
mod sim_state;
mod snapshot;
mod timing;
mod world;

pub use call_log::CallRecord;
pub use capacity::Capacity;
pub use config::SimConfig;
pub use contract::{Side, SpecError, Violation};
pub use death::Death;
pub use faults::{Effect, Fault};
pub use machine_state::State;
pub use rate_limit::RateLimits;
pub use route::Call;
pub use sandbox_rules::SandboxRules;
pub use seed::{MachineSeed, VolumeSeed};
pub use sim::{FlySim, SetupError, StartError};
pub use snapshot::{MachineSnapshot, VolumeSnapshot};
pub use timing::Timing;
pub use world::AppAccess;
