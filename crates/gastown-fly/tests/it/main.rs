//! Tests of the client: its requests, its classification of answers, its behaviour on the network, and the ports against
//! the simulator.

#![expect(clippy::unwrap_used, reason = "a failed fixture fails its test")]

mod apps;
mod inventory;
mod life;
mod lists;
mod network;
mod ports;
mod rate_limit;
mod requests;
mod script;
mod stage;
mod world;
