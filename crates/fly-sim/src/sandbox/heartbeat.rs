//! Sandboxes call home: a heartbeat, and a new gateway token before the old one runs out.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    sandbox_process::expiry_of,
    world::{SharedWorld, World},
};

/// How long a call home may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A sandbox that knows where home is.
struct Caller {
    machine: String,
    home: String,
    town_id: String,
    key: SecretString,
    wants_token: bool,
}

/// Lets every serving sandbox that knows where home is call there, every `interval`, until `cancel`.
pub(crate) async fn send_heartbeats(
    world: SharedWorld,
    client: reqwest::Client,
    interval: Duration,
    cancel: CancellationToken,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for caller in world.read(callers) {
            let call = one_send_heartbeats(&world, &client, &caller);
            let called = tokio::select! {
                () = cancel.cancelled() => return,
                called = call => called,
            };
            if let Err(error) = called {
                tracing::debug!(town.id = %caller.town_id, error = %error.without_url(), "home did not answer");
            }
        }
    }
}

async fn one_send_heartbeats(world: &SharedWorld, client: &reqwest::Client, caller: &Caller) -> reqwest::Result<()> {
    caller.post(client, "gastown.heartbeat").await?;
    if !caller.wants_token {
        return Ok(());
    }
    let answer: Value = caller.post(client, "gastown.refreshToken").await?.error_for_status()?.json().await?;
    let expiry = answer.pointer("/result/data/token").and_then(Value::as_str).and_then(expiry_of);
    world.update(|world| {
        let sandbox = world.machines.get_mut(&caller.machine).and_then(|machine| machine.sandbox.as_mut());
        if let (Some(sandbox), Some(expiry)) = (sandbox, expiry) {
            sandbox.token_expires_at = Some(expiry);
        }
    });
    Ok(())
}

impl Caller {
    async fn post(&self, client: &reqwest::Client, procedure: &str) -> reqwest::Result<reqwest::Response> {
        let call = client.post(format!("{}/trpc/{procedure}", self.home)).timeout(PATIENCE);
        let call = call.header("x-internal-api-key", self.key.expose_secret());
        call.json(&json!({ "townId": self.town_id })).send().await
    }
}

fn callers(world: &World) -> Vec<Caller> {
    let ahead = chrono::TimeDelta::from_std(world.settings.sandbox.refresh_before).unwrap_or_default();
    let soon = world.wall() + ahead;
    let serving = world.machines.values().filter_map(|machine| Some((machine, machine.sandbox.as_ref()?)));
    serving
        .filter_map(|(machine, sandbox)| {
            Some(Caller {
                machine: machine.id.clone(),
                home: sandbox.cloud_url.as_deref()?.trim_end_matches('/').to_owned(),
                town_id: sandbox.town_id.clone(),
                key: sandbox.key.clone(),
                wants_token: sandbox.token_expires_at.is_some_and(|expiry| expiry < soon),
            })
        })
        .collect()
}
