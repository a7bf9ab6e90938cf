//! Tests of the simulated sandbox over a real socket.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod binary;
mod client;
mod sandbox;
