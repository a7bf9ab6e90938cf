//! Measurements: load over HTTP, CPU and memory of processes, and statistics.

pub(crate) mod bystander;
pub(crate) mod closed_loop;
pub(crate) mod crowd;
pub(crate) mod http1;
pub(crate) mod latencies;
pub(crate) mod pgbench;
pub(crate) mod process_tree;
pub(crate) mod random;
pub(crate) mod refusal;
pub(crate) mod series;
pub(crate) mod trpc;
