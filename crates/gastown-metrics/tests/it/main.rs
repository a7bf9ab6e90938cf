//! The page of the metrics, its dashboard and its alerts, compared with the catalogue.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documentation;
mod rules;
