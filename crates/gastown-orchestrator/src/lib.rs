//! The eight operations on towns and rigs, and the driver that carries each to its end.
//!
//! It writes the goal down, then drives the town to it: observe, plan, one step, record what was learned, until the plan
//! says done. It sees ports only: no SQL, no HTTP, no Fly. What it never does: hold a transaction across a call, make a
//! second machine before the first is proven absent, forget an id before its deletion is proven.
//!
//! Where to start: [`TownService`] takes requests (`accept/`), [`Reconciler`] carries them out (`driver/`), [`Workers`] finds
//! what other processes left behind.

mod accept;
mod driver;
mod home;
mod inspection;
mod orphans;
mod passes;
mod pauses;
mod ports;
mod rigs;
mod seats;
mod settings;
mod tokens;
mod town_service;
mod wait;
mod workers;

pub use driver::{ReconcileReport, Reconciler};
pub use inspection::{DriftDetector, DriftReport};
pub use orphans::{FoundOrphan, Grace, OrphanReport, OrphanSweeper, Removal, Survey, SweepError, Verdict};
pub use ports::{Env, OrphanPorts, Ports, Provider, Secrets, Store};
pub use settings::{AppPlacement, DriftPolicy, MachineTemplate, OrphanPolicy, Policy, SandboxEnv, Settings};
pub use town_service::TownService;
pub use workers::Workers;
