//! Tests of the orchestrator against in-memory fakes of the provider and the registry, on paused time. Tests of single
//! port calls use mocks.
#![expect(clippy::unwrap_used, reason = "test code; clippy knows `allow-unwrap-in-tests` for test functions only")]

mod acceptance;
mod authorization;
mod bench;
mod calls;
mod claim_order;
mod conflicts;
mod create_failures;
mod deletions;
mod drift_detector;
mod enumerated;
mod env;
mod external_changes;
mod faults;
mod fly;
mod health_monitor;
mod health_records;
mod home;
mod idle_stops;
mod invariants;
mod inventory;
mod ledger;
mod lifecycle;
mod list_lag;
mod metrics;
mod names;
mod operations_after_drift;
mod orphan_sweeper;
mod port_calls;
mod process;
mod records;
mod registry;
mod restarts;
mod restores;
mod rigs;
mod runner;
mod sampled;
mod sandboxes;
mod store;
mod takeover;
mod undisturbed;
mod waiting_and_backoff;
mod watching;
mod world;
