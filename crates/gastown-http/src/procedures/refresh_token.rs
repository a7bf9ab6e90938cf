use std::sync::Arc;

use gastown_domain::ports::HomeCalls;
use secrecy::SecretString;

use crate::{failure::home_error, input::TownRef, output::TokenView, trpc::CallError};

/// Mints a new gateway token for a sandbox, before its current one expires.
pub(super) async fn run(
    home: Arc<dyn HomeCalls>,
    key: SecretString,
    TownRef(town): TownRef,
) -> Result<TokenView, CallError> {
    home.refresh_token(town, key).await.map(TokenView::from).map_err(|error| home_error(&error))
}
