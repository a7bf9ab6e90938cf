//! Tests of the simulator over a real socket.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod apps;
mod binary;
mod client;
mod control;
mod deletions;

mod faults;
mod gateway;
mod greeter;
mod javascript;
mod leases;
mod lifecycle;
mod machines;
mod metadata;
mod pages;
mod programs;
mod seeds;
mod volumes;
mod wait;
