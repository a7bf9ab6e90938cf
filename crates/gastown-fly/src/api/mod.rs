//! The Machines API in Fly's own words: requests as data, answers as types. Pure, no I/O.
//!
//! Requests are strict (exactly what we mean to send), answers are lenient: unknown fields are ignored, `null` counts
//! as left out, dates of year 1 as unknown, because Fly's answers vary with the host that gives them.

mod action;
pub mod apps;
mod call;
pub mod config;
pub mod leases;
mod lenient;
pub mod machines;
pub mod metadata;
pub mod secrets;
pub mod volumes;

pub use action::{Action, Subject};
pub use call::{Call, Method};
pub use lenient::{Entry, Unread};
