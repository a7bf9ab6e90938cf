//! The metrics of the control plane: what is counted, and the endpoint that Prometheus reads.
//!
//! [`PrometheusMetrics`] implements the port `Metrics`. It counts events in memory, and has gauges that a background task
//! sets. [`endpoint`] serves all of it as text. [`CATALOGUE`] lists every metric with its labels, and
//! `docs/observability/metrics.md` explains them.
//!
//! Nothing is global: each control plane has its own counts. No label has a town, a user or a text from outside.

mod catalogue;
mod endpoint;
mod recorder;

pub use catalogue::{CATALOGUE, Kind, Label, Metric};
pub use endpoint::endpoint;
pub use recorder::{Pool, PrometheusMetrics, Queues, SetUpError};
