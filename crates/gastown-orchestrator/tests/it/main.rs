//! The orchestrator against in-memory doubles of Fly and of the registry, on paused time; and against mocks where what
//! matters is what it asks.
#![expect(clippy::unwrap_used, reason = "test code; clippy knows `allow-unwrap-in-tests` for test functions only")]

mod acceptance;
mod accidents;
mod asks;
mod bench;
mod books;
mod calls;
mod conflicts;
mod cores;
mod create_failures;
mod enumerated;
mod faults;
mod fly;
mod graves;
mod home;
mod inspection;
mod invariants;
mod inventory;
mod keys;
mod lags;
mod ledger;
mod lifecycle;
mod orphan_sweeper;
mod patience;
mod process;
mod registry;
mod rigs;
mod sampled;
mod sandboxes;
mod store;
mod surprises;
mod takeover;
mod turns;
mod world;
