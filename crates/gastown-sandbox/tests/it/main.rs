//! The client of the sandbox's API, against a double on a real socket.

#![expect(clippy::unwrap_used, reason = "a failed fixture fails its test")]

mod client;
mod double;
mod hostile;
mod simulated;
