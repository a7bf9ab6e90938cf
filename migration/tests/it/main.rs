//! The schema on real databases: its content, its migrations and its constraints.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod catalogue;
mod concurrency;
mod connecting;
mod database;
mod host_table;
mod poolers;
mod rules;
mod up_and_down;
