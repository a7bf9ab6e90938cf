//! Fuzz targets: every parser of input from outside is given mutated inputs.
//!
//! A target must not panic, must not allocate out of proportion to its input, and must keep its invariants. The inputs are
//! mutations of the corpus, which is in `corpus/<target>`. A mutation that makes a target behave in a new way joins the corpus
//! of the run. Each input that fails is stored, and a mended failure joins the corpus for good.
//!
//! Start reading at `engine.rs`, then `targets/mod.rs`.

mod corpus;
mod engine;
mod mutate;
mod targets;

pub use engine::{Failure, Limit, Report, run};
pub use targets::{Outcome, Target, all};
