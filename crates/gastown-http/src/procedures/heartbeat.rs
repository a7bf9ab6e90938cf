use std::sync::Arc;

use gastown_domain::ports::HomeCalls;
use secrecy::SecretString;

use crate::{failure::home_error, input::TownRef, output::HeartbeatView, trpc::CallError};

/// Records a heartbeat of a sandbox.
pub(super) async fn run(
    home: Arc<dyn HomeCalls>,
    key: SecretString,
    TownRef(town_id): TownRef,
) -> Result<HeartbeatView, CallError> {
    home.heartbeat(town_id, key).await.map_err(|error| home_error(&error))?;
    Ok(HeartbeatView { town_id, recorded: true })
}
