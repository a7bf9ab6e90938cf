//! The calls of sandboxes to the control plane: heartbeats, and requests for a new gateway token.

use std::{sync::Arc, time::Duration};

use fly_sim::Host;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    boot::token_expiry,
    report,
    sandbox::{Sandbox, ServingSandboxes},
};

/// The timeout of a call to the control plane.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends heartbeats of all serving sandboxes with a control plane every `interval`.
pub(crate) async fn send_all(
    host: Host,
    serving: Arc<ServingSandboxes>,
    client: reqwest::Client,
    interval: Duration,
    refresh_before: Duration,
) {
    let refresh_before = chrono::TimeDelta::from_std(refresh_before).unwrap_or_default();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let refresh_at = host.now() + refresh_before;
        for sandbox in serving.all() {
            let needs_token = sandbox.token_expires_at().is_some_and(|expiry| expiry < refresh_at);
            let report = sandbox.volume.as_deref().and_then(|volume| {
                host.read_files(volume, |files| report::heartbeat(&sandbox.identity.town_id, files))?
            });
            let Some(report) = report else { continue };
            if let Err(error) = send(&client, &sandbox, &report, needs_token).await {
                let error = error.without_url();
                tracing::debug!(town.id = %sandbox.identity.town_id, %error, "failed to send heartbeat");
            }
        }
    }
}

async fn send(client: &reqwest::Client, sandbox: &Sandbox, report: &Value, needs_token: bool) -> reqwest::Result<()> {
    let Some(cloud_url) = sandbox.identity.cloud_url.as_deref() else { return Ok(()) };
    let cloud_url = cloud_url.trim_end_matches('/');
    post(client, cloud_url, sandbox, ("gastown.heartbeat", report)).await?;
    if !needs_token {
        return Ok(());
    }
    let town = json!({ "townId": sandbox.identity.town_id });
    let answer = post(client, cloud_url, sandbox, ("gastown.refreshToken", &town)).await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    if let Some(expiry) = answer.pointer("/result/data/token").and_then(Value::as_str).and_then(token_expiry) {
        sandbox.renew_token_until(expiry);
    }
    Ok(())
}

async fn post(
    client: &reqwest::Client,
    cloud_url: &str,
    sandbox: &Sandbox,
    (procedure, body): (&str, &Value),
) -> reqwest::Result<reqwest::Response> {
    let call = client.post(format!("{cloud_url}/trpc/{procedure}")).timeout(CALL_TIMEOUT);
    let call = call.header("x-internal-api-key", sandbox.identity.key.expose_secret());
    call.json(body).send().await
}
