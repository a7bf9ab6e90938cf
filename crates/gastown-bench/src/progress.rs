//! The progress of long work, one line for each phase.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Instant;

/// Prints a line with the time since the first one.
pub(crate) fn say(what: impl Display) {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    println!("[{:6.1} s] {what}", elapsed.as_secs_f64());
}
