//! The log line about a rejected caller, at most one for a request. A batch may have a hundred calls.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

tokio::task_local! {
    static OF_REQUEST: Rejections;
}

/// Remembers that a line was logged for a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rejections(Arc<AtomicBool>);

impl Rejections {
    /// Runs a call of this request.
    pub(crate) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        OF_REQUEST.scope(self, call)
    }
}

/// Logs the rule that rejected a caller, unless a line was logged for the request.
pub(crate) fn log_rejection(reason: impl fmt::Display) {
    let logged = OF_REQUEST.try_with(|rejections| rejections.0.swap(true, Ordering::Relaxed));
    if !logged.unwrap_or(false) {
        tracing::info!(%reason, "caller rejected");
    }
}
