//! An answer that reads as JSON and still cannot be true.

use gastown_domain::ports::{Action, ProviderError};

#[derive(Debug, thiserror::Error)]
#[error("Fly's answer cannot be true")]
struct Rubbish;

/// Whether anything was done cannot be told from it.
pub(crate) fn rubbish(action: Action) -> ProviderError {
    ProviderError::Unknown { action, cause: Box::new(Rubbish) }
}
