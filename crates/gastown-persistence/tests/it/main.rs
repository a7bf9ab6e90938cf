//! The ports on real databases. Each test runs on Postgres and on SQLite, with its own database.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod change_feed;
mod claims;
mod config_updates;
mod connections;
mod corrupt_rows;
mod creates;
mod drift_checks;
mod drift_rounds;
mod figures;
mod health_checks;
mod heartbeats;
mod history;
mod idle_stops;
mod newer_operations;
mod newer_texts;
mod operator;
mod operator_lists;
mod orphans;
mod outages;
mod pgbouncer;
mod read_only;
mod reads;
mod recording;
mod registry;
mod requests;
mod rigs;
mod round_trips;
mod shares;
mod singleton_jobs;
mod standby;
mod stranded;
mod town_events;
mod undecodable;
mod unknown_commits;
