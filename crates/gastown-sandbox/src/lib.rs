//! Client of the API inside a sandbox: health, rigs, sync.
//!
//! Every call is pinned to one machine, so that no town's key ever reaches another town's sandbox, and no answer is
//! trusted: its size, time and shape are bounded, and the town it names is compared (FM-35). It tries once and follows
//! no redirect.
//!
//! The API is written down for the authors of sandbox images in `docs/sandbox-api.yaml`. Where to start:
//! [`SandboxClient`]; `answer.rs` is the one place where statuses become the domain's errors.

mod answer;
mod client;
mod speech;
mod template;
mod transport;
mod wire;

pub use client::{SandboxClient, Timeouts};
pub use template::{DEFAULT_TEMPLATE, InvalidTemplate, UrlTemplate};
pub use transport::SetUpError;
