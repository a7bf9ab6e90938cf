//! The console over its router, with mocks of the ports: who sees what, and who may act.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acting;
mod seeing;
mod stage;
