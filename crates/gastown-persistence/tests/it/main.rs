//! The ports on real databases: one suite, run on Postgres and on SQLite, a database per test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod claims;
mod corrupt_rows;
mod creates;
mod drift_checks;
mod operator;
mod orphans;
mod outages;
mod recording;
mod registry;
mod requests;
mod rigs;
mod shares;
mod singleton_jobs;
mod stranded;
mod undecodable;
mod unknown_commits;
