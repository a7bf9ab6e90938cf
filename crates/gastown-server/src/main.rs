//! The binary `gastown`.
fn main() {}
