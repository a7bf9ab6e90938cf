//! Tests of the builder and of what it builds. The examples have tests of their own.

mod builder;
mod documentation;
mod ports;
#[cfg(feature = "sim")]
mod simulated;
