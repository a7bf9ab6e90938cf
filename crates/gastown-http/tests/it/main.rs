//! The adapter's behaviour over a real socket.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod client_example;
mod connections;
mod declared_reasons;
mod failures;
mod fake_towns;
mod foreign_towns;
mod golden;
mod golden_wire;
mod layers;
mod limits;
mod logs;
mod outputs;
mod plain_routes;
mod probe;
mod probe_wire;
mod refusals;
mod sandbox_calls;
mod server;
mod subscriptions;
mod threads;
mod typescript;
mod typescript_package;
mod unauthorized;
mod wire_reference;
mod world;
