//! The Machines API in Fly's own words: requests as data, answers as types. Pure, no I/O.
//!
//! Requests are strict: they hold exactly what is sent. Answers are lenient, because they vary with the host that gives
//! them. Unknown fields are ignored, `null` counts as left out, and dates of year 1 count as unknown.

mod action;
pub mod apps;
mod call;
pub mod config;
mod lenient;
pub mod machines;
pub mod volumes;

pub use action::{Action, Subject};
pub use call::{Call, Method};
pub use lenient::{Entry, Unread};
