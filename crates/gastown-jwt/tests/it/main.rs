//! Tests of the public interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod craft;
mod gateway;
mod leaks;
mod user;
