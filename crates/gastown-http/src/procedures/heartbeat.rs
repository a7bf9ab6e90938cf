use std::sync::Arc;

use gastown_domain::ports::HomeCalls;
use secrecy::SecretString;

use crate::{failure::home_error, input::SandboxBeat, output::HeartbeatView, trpc::CallError};

/// Accepts a heartbeat of a sandbox, with what it says of itself.
pub(super) async fn run(
    home: Arc<dyn HomeCalls>,
    key: SecretString,
    SandboxBeat { town, report, claimed_sync }: SandboxBeat,
) -> Result<HeartbeatView, CallError> {
    home.heartbeat(town, key, report, claimed_sync).await.map_err(|error| home_error(&error))?;
    Ok(HeartbeatView { town_id: town, recorded: true })
}
