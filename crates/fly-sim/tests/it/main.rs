//! The simulator as its clients see it: over a real socket.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod apps;
mod binary;
mod client;
mod endings;
mod faults;
mod gateway;
mod leases;
mod lifecycle;
mod machines;
mod metadata;
mod sandbox;
mod seeds;
mod volumes;
mod wait;
