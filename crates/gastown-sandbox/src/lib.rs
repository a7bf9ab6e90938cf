//! Client of the API inside a sandbox: health, rigs, sync.
//!
//! Every call is pinned to one machine, so that a town's key never reaches another town's sandbox. No answer is trusted:
//! its size, time and shape are limited, and its town is compared (FM-35). Calls are not retried, and redirects are not
//! followed.
//!
//! `docs/sandbox-api.yaml` specifies the API for authors of sandbox images. Start reading at [`SandboxClient`].
//! `answer.rs` maps statuses to the domain's errors.

mod answer;
mod client;
mod sanitize;
mod template;
mod transport;
mod wire;

pub use client::{SandboxClient, Timeouts};
pub use template::{DEFAULT_TEMPLATE, InvalidTemplate, UrlTemplate};
pub use transport::SetUpError;
