//! How requests are accepted: check, write the town's operation down, nudge the driver, wait for the end.

mod create;
mod lifecycle;
mod read;
mod rigs;
