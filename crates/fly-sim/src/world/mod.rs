//! The simulated Fly: apps, machines, volumes, and their changes over time.
//!
//! Nothing here knows HTTP. A call changes the world and schedules events. [`World::advance_to`] applies every event
//! that is due, so readers always see the state for the current time.

mod app_parts;
mod collections;
mod event_queue;
mod failure_injection;
mod idle;
mod model;
mod render;
mod shared;
mod state;
mod stored;
mod transitions;

pub(crate) use app_parts::{Hostname, IpAddress, IpKind, SecretKey};
pub(crate) use event_queue::Transition;
pub use model::AppAccess;
pub(crate) use model::{App, HostStatus, Lease, Machine, MachineEvent, Secret, Snapshot, Volume, mount_of};
pub(crate) use shared::SharedWorld;
pub(crate) use state::{Settings, World};
pub use stored::StateError;
pub(crate) use stored::StoredWorld;
