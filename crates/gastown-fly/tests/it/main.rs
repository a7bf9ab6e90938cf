//! The client of the Machines API: its requests, its judgement, its manners on the network, and its life against the
//! simulator.

#![expect(clippy::unwrap_used, reason = "a failed fixture fails its test")]

mod apps;
mod inventory;
mod life;
mod lists;
mod network;
mod pacing;
mod ports;
mod requests;
mod script;
mod stage;
mod world;
