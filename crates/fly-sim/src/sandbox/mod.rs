//! The API and the heartbeats of the simulated sandboxes, which run on started machines.

mod api;
mod heartbeat;
mod rigs;

pub(crate) use api::{answer, authorize};
pub(crate) use heartbeat::send_heartbeats;
