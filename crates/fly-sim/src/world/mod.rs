//! The simulated Fly: apps, machines, volumes, and what time does to them.
//!
//! Nothing here knows HTTP. A call changes the world and schedules what follows; [`World::settle`] lets everything
//! happen that is due, so that whoever looks sees what time demands.

mod agenda;
mod model;
mod render;
mod sabotage;
mod shared;
mod state;
mod transitions;

pub(crate) use agenda::Next;
pub use model::AppAccess;
pub(crate) use model::{App, Files, Host, Lease, Machine, MachineEvent, Secret, Volume, mount_of};
pub(crate) use shared::SharedWorld;
pub(crate) use state::{Settings, World};
