//! The build language of this repository.
fn main() {}
