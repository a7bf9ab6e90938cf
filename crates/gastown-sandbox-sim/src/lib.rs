//! The sandbox of a town as a program in the machines of the simulated Fly.
//!
//! A machine whose environment has the variables of a sandbox decrypts them with the app's private key and serves the
//! sandbox's API. It keeps its rigs on the machine's volume, sends heartbeats, and renews its gateway token. A sync saves the
//! volume to a simulated R2, from which `R2_RESTORE` restores an empty one.
//!
//! [`CommandSandboxes`] runs a real image's program instead, as a process.
//!
//! ```
//! use fly_sim::{FlySim, SimConfig};
//! use gastown_sandbox_sim::SimulatedSandboxes;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = FlySim::start(SimConfig { workload: SimulatedSandboxes::default().into_workload(), ..SimConfig::fast() }).await?;
//! # sim.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod api;
mod boot;
mod calls;
mod command;
mod heartbeat;
mod misbehaviour;
mod r2;
mod report;
mod rigs;
mod rules;
mod sandbox;

pub use calls::{SANDBOX_ADD_RIG, SANDBOX_HEALTH, SANDBOX_LIST_RIGS, SANDBOX_REMOVE_RIG, SANDBOX_SYNC};
pub use command::CommandSandboxes;
pub use rules::SandboxRules;
pub use sandbox::SimulatedSandboxes;
