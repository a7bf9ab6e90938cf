//! The simulated sandbox: what runs on every started machine.

mod api;
mod heartbeat;
mod rigs;

pub(crate) use api::{answer, authorize};
pub(crate) use heartbeat::send_heartbeats;
