//! The calls of sandboxes: heartbeats and new tokens.

use std::time::Duration;

use gastown_jwt::TokenVerifier;
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_system::SystemClock;
use serde_json::json;

use crate::client;
use crate::env::secret;
use crate::stage::{Setup, Stage, token_keys, until};

on_both! {
    heartbeats_of_a_running_sandbox_are_recorded,
    heartbeats_are_written_at_a_graceful_stop,
    sandbox_gets_a_new_token_for_its_town,
    key_of_a_destroyed_town_is_rejected,
}

async fn heartbeats_of_a_running_sandbox_are_recorded(mut setup: Setup) -> Stage {
    let sandboxes = SimulatedSandboxes::default().with_heartbeat(Duration::from_millis(20));
    setup.sim.workload = sandboxes.into_workload();
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    until("a heartbeat is recorded", async || stage.rows.town(town.id).await.last_heartbeat_at.is_some()).await;
    let first = stage.on_town("getTownStatus", town.id).await.unwrap()["lastHeartbeatAt"].clone();
    assert!(first.is_string(), "{first}");
    until("another heartbeat is recorded", async || {
        stage.on_town("getTownStatus", town.id).await.unwrap()["lastHeartbeatAt"].as_str() > first.as_str()
    })
    .await;
    stage
}

async fn heartbeats_are_written_at_a_graceful_stop(mut setup: Setup) -> Stage {
    // Without the stop, nothing would be written.
    setup.policy.backoff.heartbeat_write = Duration::from_secs(3600);
    let mut stage = setup.start().await;
    stage.add_replica().await;
    let mut towns = Vec::new();
    for name in ["mill", "forge", "inn"] {
        let town = stage.running(name).await;
        let key = secret(&stage, town.machine(), "INTERNAL_API_KEY");
        let report = json!({ "townId": town.id, "activePolecats": 2, "lastR2SyncAt": "2999-01-01T00:00:00Z" });
        client::call_home(&stage.replicas[1].url, &key, "heartbeat", report).await.unwrap();
        assert_eq!(stage.rows.town(town.id).await.last_heartbeat_at, None, "it is accepted before it is written");
        towns.push(town.id);
    }
    stage.replace(1).await;
    for town in towns {
        let status = stage.on_town("getTownStatus", town).await.unwrap();
        assert_eq!(status["health"]["report"]["activePolecats"], 2, "{status}");
        assert!(status["lastHeartbeatAt"].is_string(), "{status}");
        assert_eq!(status["lastR2SyncAt"], status["lastHeartbeatAt"], "a claimed sync is never in the future");
    }
    stage
}

async fn sandbox_gets_a_new_token_for_its_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let key = secret(&stage, town.machine(), "INTERNAL_API_KEY");
    let fresh = client::call_home(stage.url(), &key, "refreshToken", json!({ "townId": town.id })).await.unwrap();
    let verifier = TokenVerifier::new(token_keys(), std::sync::Arc::new(SystemClock));
    let grant = verifier.verify_gateway(fresh["token"].as_str().unwrap()).unwrap();
    assert_eq!((grant.town.as_uuid(), grant.user.as_str()), (town.id, town.user_id.as_str()));
    stage
}

async fn key_of_a_destroyed_town_is_rejected(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let key = secret(&stage, town.machine(), "INTERNAL_API_KEY");
    let input = json!({ "townId": town.id });
    client::call_home(stage.url(), &key, "heartbeat", input.clone()).await.unwrap();
    stage.on_town("destroyTown", town.id).await.unwrap();
    let heard = stage.rows.town(town.id).await.last_heartbeat_at;
    for procedure in ["heartbeat", "refreshToken"] {
        let refused = client::call_home(stage.url(), &key, procedure, input.clone()).await.unwrap_err();
        assert_eq!(refused.code, "UNAUTHORIZED", "{procedure}");
    }
    assert_eq!(stage.rows.town(town.id).await.last_heartbeat_at, heard);
    stage
}
