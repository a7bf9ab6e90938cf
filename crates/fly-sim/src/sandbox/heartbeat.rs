//! The calls of sandboxes to the control plane: heartbeats, and requests for a new gateway token.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    sandbox_process::token_expiry,
    world::{SharedWorld, World},
};

/// The timeout of a call to the control plane.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A serving sandbox that has the URL of its control plane.
struct Sender {
    machine: String,
    cloud_url: String,
    town_id: String,
    key: SecretString,
    needs_token: bool,
}

/// Sends heartbeats of all serving sandboxes with a control plane every `interval`, until `cancel` is cancelled.
pub(crate) async fn send_heartbeats(
    world: SharedWorld,
    client: reqwest::Client,
    interval: Duration,
    cancel: CancellationToken,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            ticks.tick().await;
            for sender in world.read(senders) {
                if let Err(error) = send_heartbeat(&world, &client, &sender).await {
                    let error = error.without_url();
                    tracing::debug!(town.id = %sender.town_id, %error, "failed to send heartbeat");
                }
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = rounds => {}
    }
}

async fn send_heartbeat(world: &SharedWorld, client: &reqwest::Client, sender: &Sender) -> reqwest::Result<()> {
    sender.post(client, "gastown.heartbeat").await?;
    if !sender.needs_token {
        return Ok(());
    }
    let answer: Value = sender.post(client, "gastown.refreshToken").await?.error_for_status()?.json().await?;
    let expiry = answer.pointer("/result/data/token").and_then(Value::as_str).and_then(token_expiry);
    world.update(|world| {
        let sandbox = world.machines.get_mut(&sender.machine).and_then(|machine| machine.sandbox.as_mut());
        if let (Some(sandbox), Some(expiry)) = (sandbox, expiry) {
            sandbox.token_expires_at = Some(expiry);
        }
    });
    Ok(())
}

impl Sender {
    async fn post(&self, client: &reqwest::Client, procedure: &str) -> reqwest::Result<reqwest::Response> {
        let call = client.post(format!("{}/trpc/{procedure}", self.cloud_url)).timeout(CALL_TIMEOUT);
        let call = call.header("x-internal-api-key", self.key.expose_secret());
        call.json(&json!({ "townId": self.town_id })).send().await
    }
}

fn senders(world: &World) -> Vec<Sender> {
    let refresh_before = chrono::TimeDelta::from_std(world.settings.sandbox.refresh_before).unwrap_or_default();
    let refresh_at = world.wall() + refresh_before;
    let serving = world.machines.values().filter_map(|machine| Some((machine, machine.sandbox.as_ref()?)));
    serving
        .filter_map(|(machine, sandbox)| {
            Some(Sender {
                machine: machine.id.clone(),
                cloud_url: sandbox.cloud_url.as_deref()?.trim_end_matches('/').to_owned(),
                town_id: sandbox.town_id.clone(),
                key: sandbox.key.clone(),
                needs_token: sandbox.token_expires_at.is_some_and(|expiry| expiry < refresh_at),
            })
        })
        .collect()
}
