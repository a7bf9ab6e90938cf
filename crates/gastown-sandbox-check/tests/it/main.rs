//! The check, against sandboxes that are right and sandboxes that are wrong.

#![expect(clippy::unwrap_used, reason = "a failed fixture fails its test")]

mod broken;
mod contract;
mod double;
mod fault;
mod recorder;
mod routes;
mod running;
mod simulated;
mod stage;
