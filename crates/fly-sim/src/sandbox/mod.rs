//! The simulated sandbox: what runs on every started machine.

mod api;
mod boot;
mod heartbeat;
mod rigs;

pub(crate) use api::{answer, authorize};
pub(crate) use boot::{Sandbox, boot};
pub(crate) use heartbeat::call_home;
