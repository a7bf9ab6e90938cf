//! Sandboxes call home.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::SharedWorld;

/// How long a heartbeat may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct Beat {
    url: String,
    town_id: String,
    key: SecretString,
}

/// Posts a heartbeat for every serving sandbox that knows where home is, every `interval`, until `cancel`.
pub(crate) async fn beat(world: SharedWorld, client: reqwest::Client, interval: Duration, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for due in due(&world) {
            let call = client
                .post(&due.url)
                .timeout(PATIENCE)
                .header("x-internal-api-key", due.key.expose_secret())
                .json(&json!({ "townId": due.town_id }));
            let sent = tokio::select! {
                () = cancel.cancelled() => return,
                sent = call.send() => sent,
            };
            if let Err(error) = sent {
                tracing::debug!(town.id = %due.town_id, error = %error.without_url(), "a heartbeat was not answered");
            }
        }
    }
}

fn due(world: &SharedWorld) -> Vec<Beat> {
    world.look(|world| {
        let serving = world.machines.values().filter_map(|machine| machine.sandbox.as_ref());
        serving
            .filter_map(|sandbox| {
                let home = sandbox.cloud_url.as_deref()?.trim_end_matches('/');
                Some(Beat {
                    url: format!("{home}/trpc/gastown.heartbeat"),
                    town_id: sandbox.town_id.clone(),
                    key: sandbox.key.clone(),
                })
            })
            .collect()
    })
}
