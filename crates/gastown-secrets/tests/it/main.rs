//! Tests of the public interface.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod environment;
mod frozen;
mod interop;
mod leaks;
mod sodium;
mod tampering;
mod town_keys;
