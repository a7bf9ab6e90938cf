//! Tests of the simulator over a real socket.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod app_parts;
mod apps;
mod attach;
mod bad_input;
mod binary;
mod client;
mod clock;
mod control;
mod deletions;
mod events;
mod exec;
mod faults;
mod foreign_clients;
mod gateway;
mod go;
mod go_types;
mod greeter;
mod javascript;
mod leases;
mod lifecycle;
mod machines;
mod metadata;
mod orgs;
mod pages;
mod programs;
mod seeds;
mod state;
mod volumes;
mod wait;
